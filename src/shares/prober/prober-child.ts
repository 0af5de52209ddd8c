// The program of the prober process: every call that may hang is made here, asynchronously, and never more at once than
// libuv's pool has threads (UV_THREADPOOL_SIZE, from AT_ONCE), so that a question that has begun really runs.
import { lookup } from "node:dns";
import { lstat, readlink, stat } from "node:fs";
import { fileLooks } from "./file-looks.ts";
import { listFolders, lookAtFolder } from "./folder-listing.ts";
import { lookAtMountDarwin } from "./mount-look-darwin.ts";
import { lookAtMountLinux } from "./mount-look-linux.ts";
import { createOpenFilesScanDarwin } from "./open-files-darwin.ts";
import { scanOpenFilesProc } from "./open-files-proc.ts";
import { pathPlaces } from "./path-places.ts";
import type { LinkLook } from "./prober.ts";
import {
  type AnswerOf,
  type Ask,
  AT_ONCE,
  type OpenFilesScan,
  type ProberReply,
  type ProberRequest,
  type SingleKind,
  type SubjectOf,
} from "./prober-protocol.ts";

const openFilesNowhere: OpenFilesScan = async (requests) =>
  requests.map(({ paths }) =>
    paths.map(() => ({ ok: false, text: `open files cannot be listed on ${process.platform}` })),
  );

/** This system's own. */
const scanOpenFiles: OpenFilesScan =
  process.platform === "linux"
    ? (requests) => scanOpenFilesProc(requests, "/proc")
    : process.platform === "darwin"
      ? createOpenFilesScanDarwin()
      : openFilesNowhere;

/** Answers wait this long for others to travel with; a failover does not notice it. */
const LINGER_MS = 3;
/** Of the deadline. */
const LATE_TOGETHER = 0.1;
/** A scan reads hundreds of small kernel files, and a process stuck in the kernel can hold up one of them. */
const SCAN_DEADLINE_MS = 5_000;

type Answerers = {
  readonly [Kind in SingleKind]: (subject: SubjectOf<Kind>, done: (answer: AnswerOf<Kind>) => void) => void;
};

const answerers: Answerers = {
  look: process.platform === "darwin" ? lookAtMountDarwin : lookAtMountLinux,
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
  folders({ root, subpath, wants }, done) {
    void (wants === "look" ? lookAtFolder : listFolders)(root, subpath).then(done);
  },
  realPath(path, done) {
    void fileLooks.realPath(path).then(done);
  },
  fileLook(path, done) {
    void fileLooks.fileLook(path).then(done);
  },
  fileBytes(path, done) {
    void fileLooks.fileBytes(path).then(done);
  },
  exposures(paths, done) {
    void fileLooks.exposures(paths).then(done);
  },
  places(paths, done) {
    void pathPlaces(paths).then(done);
  },
  addresses(host, done) {
    lookup(host, { all: true }, (error, found) =>
      done(error === null ? found.map(({ address }) => address) : []),
    );
  },
};

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
  readonly #waiting = new Map<SingleKind, Ask<SingleKind>[]>();
  readonly #running = new Map<SingleKind, number>();
  /** Begun and unanswered, oldest first: when each is late. */
  readonly #begun = new Map<number, number>();
  /** How many answers are still to come. */
  #due = 0;
  #retired = false;
  #answers: [id: number, answer: unknown][] = [];
  #linger: NodeJS.Timeout | null = null;
  #lateTimer: NodeJS.Timeout | null = null;

  constructor(lateAfterMs: number, scan: OpenFilesScan) {
    this.#lateAfterMs = lateAfterMs;
    this.#scan = scan;
  }

  take({ asks, retire }: ProberRequest): void {
    const scans: Ask<"openFiles">[] = [];
    this.#due += asks.length;
    for (const ask of asks) {
      if (ask.kind === "openFiles") {
        scans.push(ask);
        continue;
      }
      const queue = this.#waiting.get(ask.kind) ?? [];
      this.#waiting.set(ask.kind, queue);
      queue.push(ask);
    }
    if (scans.length > 0) this.#beginScan(scans);
    if (retire) this.#retire();
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

  #pump(kind: SingleKind): void {
    const queue = this.#waiting.get(kind) ?? [];
    while ((this.#running.get(kind) ?? 0) < AT_ONCE[kind]) {
      const next = queue.shift();
      if (next === undefined) break;
      this.#begin(next);
    }
    this.#watchForLate();
  }

  #begin<Kind extends SingleKind>({ id, kind, subject }: Ask<Kind>): void {
    this.#running.set(kind, (this.#running.get(kind) ?? 0) + 1);
    if (kind !== "addresses") this.#begun.set(id, performance.now() + this.#lateAfterMs);
    answerers[kind](subject, (answer) => {
      this.#running.set(kind, (this.#running.get(kind) ?? 1) - 1);
      this.#answered(id, answer);
      this.#pump(kind);
    });
  }

  /** One walk for all of them. */
  #beginScan(scans: readonly Ask<"openFiles">[]): void {
    for (const { id } of scans) this.#begun.set(id, performance.now() + SCAN_DEADLINE_MS);
    const failed = (error: unknown) => {
      const text = error instanceof Error ? error.message : String(error);
      return scans.map(({ subject }) => subject.paths.map(() => ({ ok: false, text })));
    };
    const found = this.#scan(scans.map(({ subject }) => subject)).catch(failed);
    void found.then((answers) => {
      for (const [index, { id }] of scans.entries()) this.#answered(id, answers[index] ?? []);
    });
  }

  #answered(id: number, answer: unknown): void {
    this.#answers.push([id, answer]);
    this.#begun.delete(id);
    if (this.#begun.size === 0) this.#endWatchForLate();
    this.#due--;
    if (this.#due === 0) this.#send([]);
    else this.#linger ??= setTimeout(() => this.#send([]), LINGER_MS);
  }

  #send(late: readonly number[]): void {
    if (this.#linger !== null) clearTimeout(this.#linger);
    this.#linger = null;
    send({ answers: this.#answers.splice(0), late, crash: null });
  }

  #watchForLate(): void {
    if (this.#retired || this.#lateTimer !== null) return;
    const [oldest] = this.#begun.values();
    if (oldest === undefined) return;
    // If this process was held up, answers may wait to be read, but timers run first.
    const late = (): void => void setImmediate(() => this.#markLate());
    this.#lateTimer = setTimeout(late, Math.max(1, oldest - performance.now()));
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
    const late = [...this.#begun].filter(([, dueMs]) => dueMs <= until).map(([id]) => id);
    if (late.length > 0) this.#send(late);
    else this.#watchForLate();
  }
}

function send(reply: ProberReply, done?: () => void): void {
  process.send?.(reply, undefined, undefined, done);
}

// exit() would wait for ever for a thread that hangs; SIGKILL does not.
const endNow = (): void => {
  process.kill(process.pid, "SIGKILL");
};
process.on("disconnect", endNow);
process.on("SIGINT", () => {});
process.on("SIGHUP", () => {});
process.on("uncaughtException", (error) => {
  send({ answers: [], late: [], crash: error.stack ?? error.message }, endNow);
});
if (process.connected) {
  const answering = new Answering(Number(process.argv[2]), scanOpenFiles);
  // Our own daemon, the same version, is at the other end.
  process.on("message", (message) => answering.take(message as ProberRequest));
} else endNow();
