// The program of the prober process: every call that may hang is made here, asynchronously, and never more at once than
// libuv's pool has threads (UV_THREADPOOL_SIZE, from AT_ONCE), so that a question that has begun really runs.
import { lookup } from "node:dns";
import { lstat, readFile, readlink, realpath, stat } from "node:fs";
import { type Exposure, exposureOf, ownIdentity } from "../../runtime/files/exposure.ts";
import { listFolders, lookAtFolder } from "./folder-listing.ts";
import { lookAtMount } from "./mount-look.ts";
import { scanOpenFiles } from "./open-files.ts";
import { pathPlaces } from "./path-places.ts";
import { FILE_LIMIT_BYTES, type LinkLook, type OpenFilesAnswer } from "./prober.ts";
import {
  type AnswerOf,
  AT_ONCE,
  type OpenFilesScan,
  type ProberReply,
  type ProberRequest,
  type QuestionKind,
  readFoldersSubject,
  readPathsSubject,
  type ScanQuestion,
} from "./prober-protocol.ts";

/** Answers wait this long for others to travel with; a failover does not notice it. */
const LINGER_MS = 3;
/** Of the deadline. */
const LATE_TOGETHER = 0.1;
/** A scan reads hundreds of small kernel files, and a process stuck in the kernel can hold up one of them. */
const SCAN_DEADLINE_MS = 5_000;

type Done<Kind extends QuestionKind> = (answer: AnswerOf[Kind]) => void;
type Ask = { readonly [Kind in QuestionKind]: (subject: string, done: Done<Kind>) => void };

const ask: Ask = {
  look: lookAtMount,
  link(path, done) {
    lstat(path, { bigint: true }, (error, stats) => {
      if (error !== null) {
        const code = codeOf(error);
        done(code === "ENOENT" || code === "ENOTDIR" ? { state: "missing" } : unknownLink(code));
      } else if (!stats.isSymbolicLink()) {
        done({
          state: "other",
          kind: stats.isDirectory() ? "folder" : stats.isFile() ? "file" : "special file",
        });
      } else {
        readlink(path, (linkError, target) => {
          if (linkError !== null) done(unknownLink(codeOf(linkError)));
          else done({ state: "link", target, identity: `${stats.dev}:${stats.ino}:${stats.ctimeNs}` });
        });
      }
    });
  },
  folder(path, done) {
    stat(path, (error, stats) => done(error === null && stats.isDirectory()));
  },
  folders(subject, done) {
    const { root, subpath, wants } = readFoldersSubject(subject);
    void (wants === "look" ? lookAtFolder : listFolders)(root, subpath).then(done);
  },
  realPath(path, done) {
    realpath.native(path, (error, resolved) => done(error === null ? resolved : null));
  },
  fileLook(path, done) {
    stat(path, { bigint: true }, (error, stats) => {
      if (error !== null) done({ state: "failed", errno: codeOf(error) });
      else {
        const { dev, ino, size, mtimeNs, ctimeNs } = stats;
        const [d, i, s, m, c] = [dev, ino, size, mtimeNs, ctimeNs].map(String);
        done({
          state: "file",
          dev: d ?? "",
          ino: i ?? "",
          size: s ?? "",
          mtimeNs: m ?? "",
          ctimeNs: c ?? "",
        });
      }
    });
  },
  fileBytes(path, done) {
    // Only plain files that are not too large: a pipe would never end.
    stat(path, (error, stats) => {
      if (error !== null) done({ state: "failed", errno: codeOf(error) });
      else if (stats.isDirectory()) done({ state: "failed", errno: "EISDIR" });
      else if (!stats.isFile()) done({ state: "failed", errno: "EINVAL" });
      else if (stats.size > FILE_LIMIT_BYTES) done({ state: "failed", errno: "EFBIG" });
      else {
        readFile(path, (readError, bytes) =>
          done(
            readError === null
              ? { state: "read", base64: bytes.toString("base64") }
              : { state: "failed", errno: codeOf(readError) },
          ),
        );
      }
    });
  },
  exposures(subject, done) {
    void lookAtExposures(readPathsSubject(subject)).then(done);
  },
  places(subject, done) {
    void pathPlaces(readPathsSubject(subject)).then(done);
  },
  addresses(host, done) {
    lookup(host, { all: true }, (error, found) =>
      done(error === null ? found.map(({ address }) => address) : []),
    );
  },
};

/** One after the other, to take only one thread. Never rejects. */
async function lookAtExposures(paths: readonly string[]): Promise<readonly Exposure[]> {
  const identity = await ownIdentity();
  const found: Exposure[] = [];
  for (const path of paths) found.push(await exposureOf(path, identity));
  return found;
}

function codeOf(error: NodeJS.ErrnoException): string {
  return error.code ?? error.message;
}

function unknownLink(code: string): LinkLook {
  return { state: "unknown", text: code };
}

/** Answers the daemon until the channel to it closes. */
class Answering {
  readonly #lateAfterMs: number;
  readonly #scan: OpenFilesScan;
  readonly #waiting = new Map<QuestionKind, (readonly [number, string])[]>();
  readonly #running = new Map<QuestionKind, number>();
  /** Questions without an answer yet, oldest first. */
  readonly #begun = new Map<number, { readonly dueMs: number }>();
  /** How many answers are still to come. */
  #due = 0;
  #retired = false;
  #reply = emptyReply();
  #linger: NodeJS.Timeout | null = null;
  #lateTimer: NodeJS.Timeout | null = null;

  constructor(lateAfterMs: number, scan: OpenFilesScan) {
    this.#lateAfterMs = lateAfterMs;
    this.#scan = scan;
  }

  take(request: ProberRequest): void {
    for (const kind of Object.keys(request.questions) as QuestionKind[]) {
      const questions = request.questions[kind] ?? [];
      const queue = this.#waiting.get(kind) ?? [];
      this.#waiting.set(kind, queue);
      for (const question of questions) queue.push(question);
      this.#due += questions.length;
    }
    if (request.scans.length > 0) this.#beginScan(request.scans);
    if (request.retire) this.#retire();
    for (const kind of this.#waiting.keys()) this.#pump(kind);
    this.#watchForLate();
  }

  #retire(): void {
    this.#retired = true;
    for (const queue of this.#waiting.values()) {
      this.#due -= queue.length;
      queue.length = 0;
    }
    this.#endWatchForLate();
  }

  #pump(kind: QuestionKind): void {
    const queue = this.#waiting.get(kind);
    while (queue !== undefined && (this.#running.get(kind) ?? 0) < AT_ONCE[kind]) {
      const next = queue.shift();
      if (next === undefined) break;
      this.#begin(kind, next[0], next[1]);
    }
    this.#watchForLate();
  }

  #begin<Kind extends QuestionKind>(kind: Kind, sequence: number, subject: string): void {
    this.#running.set(kind, (this.#running.get(kind) ?? 0) + 1);
    if (kind !== "addresses") this.#begun.set(sequence, { dueMs: performance.now() + this.#lateAfterMs });
    ask[kind](subject, (answer) => {
      this.#running.set(kind, (this.#running.get(kind) ?? 1) - 1);
      this.#reply.answers[kind].push([sequence, answer]);
      this.#answered(sequence);
      this.#pump(kind);
    });
  }

  #beginScan(scans: readonly ScanQuestion[]): void {
    this.#due += scans.length;
    const dueMs = performance.now() + SCAN_DEADLINE_MS;
    for (const { sequence } of scans) this.#begun.set(sequence, { dueMs });
    const finish = (answersOf: (index: number) => readonly OpenFilesAnswer[]): void => {
      scans.forEach(({ sequence }, index) => {
        this.#reply.scans.push([sequence, answersOf(index)]);
        this.#answered(sequence);
      });
    };
    this.#scan(scans).then(
      (found) => finish((index) => found[index] ?? []),
      (error: unknown) => {
        const text = error instanceof Error ? error.message : String(error);
        finish((index) => (scans[index]?.paths ?? []).map(() => ({ ok: false, text })));
      },
    );
  }

  #answered(sequence: number): void {
    this.#begun.delete(sequence);
    if (this.#begun.size === 0) this.#endWatchForLate();
    this.#due--;
    if (this.#due === 0) this.#send();
    else this.#linger ??= setTimeout(() => this.#send(), LINGER_MS);
  }

  #send(): void {
    if (this.#linger !== null) clearTimeout(this.#linger);
    this.#linger = null;
    const message = this.#reply;
    this.#reply = emptyReply();
    process.send?.(message);
  }

  #watchForLate(): void {
    if (this.#retired || this.#lateTimer !== null) return;
    const [oldest] = this.#begun.values();
    if (oldest === undefined) return;
    // If this process was held up, answers may wait to be read, but timers run first.
    const late = (): void => void setImmediate(() => this.#markLate());
    this.#lateTimer = setTimeout(late, Math.max(1, oldest.dueMs - performance.now()));
  }

  /** Without open questions nothing wakes this process. */
  #endWatchForLate(): void {
    if (this.#lateTimer !== null) clearTimeout(this.#lateTimer);
    this.#lateTimer = null;
  }

  #markLate(): void {
    this.#lateTimer = null;
    if (this.#retired) return;
    // Looks that began at nearly the same time hang for the same reason: they are marked as late now, so that the next
    // child does not start them again.
    const until = performance.now() + this.#lateAfterMs * LATE_TOGETHER;
    for (const [sequence, { dueMs }] of this.#begun) {
      if (dueMs <= until) this.#reply.late.push(sequence);
    }
    if (this.#reply.late.length > 0) this.#send();
    else this.#watchForLate();
  }
}

function emptyReply(): ProberReply {
  return {
    answers: {
      look: [],
      link: [],
      folder: [],
      folders: [],
      realPath: [],
      places: [],
      fileLook: [],
      fileBytes: [],
      exposures: [],
      addresses: [],
    },
    scans: [],
    late: [],
    crash: null,
  };
}

// exit() would wait for ever for a thread that hangs; SIGKILL does not.
const endNow = (): void => {
  process.kill(process.pid, "SIGKILL");
};
process.on("disconnect", endNow);
process.on("SIGINT", () => {});
process.on("SIGHUP", () => {});
process.on("uncaughtException", (error) => {
  process.send?.({ ...emptyReply(), crash: error.stack ?? error.message }, endNow);
});
if (process.connected) {
  const answering = new Answering(Number(process.argv[2]), scanOpenFiles);
  // Our own daemon, the same version, is at the other end.
  process.on("message", (message) => answering.take(message as ProberRequest));
} else endNow();
