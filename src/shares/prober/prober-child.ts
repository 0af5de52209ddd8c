// The program of the prober process, which makes every call that may hang. It never makes more calls at once than
// libuv's pool has threads (AT_ONCE sets UV_THREADPOOL_SIZE), so no call waits for a thread.
import { lookup } from "node:dns/promises";
import { stat, statfs } from "node:fs/promises";
import { createSemaphore } from "../../network/probe/single-flight.ts";
import { fileChecks, readLinkTarget, spaceOf } from "./file-checks.ts";
import { checkFolder } from "./folder-check.ts";
import { checkMountDarwin } from "./mount-check-darwin.ts";
import { checkMountLinux } from "./mount-check-linux.ts";
import { createOpenFilesScanDarwin } from "./open-files-darwin.ts";
import { scanOpenFilesProc } from "./open-files-proc.ts";
import {
  type AnswerOf,
  AT_ONCE,
  type OpenFilesScan,
  type ProbeCall,
  type ProberReply,
  type ProberRequest,
  type SingleKind,
  type SubjectOf,
} from "./prober-protocol.ts";
import { resolvePaths } from "./resolve-paths.ts";

// No share is mounted on systems besides Linux and macOS, because Mountaineer cannot list their mounts.
const scanOpenFiles: OpenFilesScan =
  process.platform === "darwin"
    ? createOpenFilesScanDarwin()
    : (requests) => scanOpenFilesProc(requests, "/proc");

/** Time for which answers are gathered into one message, ms; too short to delay a failover. */
const LINGER_MS = 3;
/**
 * When a check is late, checks that are due within this fraction of the deadline are reported as late together with it.
 */
const LATE_MARGIN = 0.1;
/** Deadline of a scan, ms. It reads hundreds of small kernel files, and a process stuck in the kernel can block one. */
const SCAN_DEADLINE_MS = 5_000;

type Answerers = {
  readonly [Kind in SingleKind]: (subject: SubjectOf<Kind>) => Promise<AnswerOf<Kind>>;
};

const answerers: Answerers = {
  checkMount: process.platform === "darwin" ? checkMountDarwin : checkMountLinux,
  link: readLinkTarget,
  // With the dot, an automounter mounts the folder.
  folder: (path) =>
    stat(`${path}/.`).then(
      (stats) => stats.isDirectory(),
      () => false,
    ),
  space: (path) => statfs(path).then(spaceOf, () => null),
  checkFolder: ({ root, subpath }) => checkFolder(root, subpath),
  ...fileChecks,
  resolvePaths,
  addresses: (host) =>
    lookup(host, { all: true }).then(
      (found) => found.map(({ address }) => address),
      () => [],
    ),
};

/** Answers the daemon until the channel to it closes. */
class Answering {
  readonly #lateAfterMs: number;
  readonly #scan: OpenFilesScan;
  readonly #turns = new Map<SingleKind, ReturnType<typeof createSemaphore>>();
  /** Deadlines of the questions in progress by id, oldest first, in time of `performance`. */
  readonly #begun = new Map<number, number>();
  /** Number of answers still to come. */
  #due = 0;
  #retired = false;
  #answers: [id: number, answer: unknown][] = [];
  #linger: NodeJS.Timeout | null = null;
  #lateTimer: NodeJS.Timeout | null = null;

  constructor(lateAfterMs: number, scan: OpenFilesScan) {
    this.#lateAfterMs = lateAfterMs;
    this.#scan = scan;
  }

  take({ calls, retire }: ProberRequest): void {
    this.#due += calls.length;
    if (retire) this.#retire();
    const scans = calls.filter((call) => call.kind === "openFiles");
    if (scans.length > 0) this.#beginScan(scans);
    for (const call of calls)
      if (call.kind !== "openFiles") void this.#turn(call.kind).use(() => this.#answer(call));
  }

  /** Questions that have not begun are left to the next child. */
  #retire(): void {
    this.#retired = true;
    this.#endWatchForLate();
  }

  #turn(kind: SingleKind): ReturnType<typeof createSemaphore> {
    const turn = this.#turns.get(kind) ?? createSemaphore(AT_ONCE[kind]);
    this.#turns.set(kind, turn);
    return turn;
  }

  async #answer<Kind extends SingleKind>({ id, kind, subject }: ProbeCall<Kind>): Promise<void> {
    if (this.#retired) return;
    if (kind !== "addresses") this.#begin(id, this.#lateAfterMs);
    this.#answered(id, await answerers[kind](subject));
  }

  #begin(id: number, limitMs: number): void {
    this.#begun.set(id, performance.now() + limitMs);
    this.#watchForLate();
  }

  /** One walk over the processes answers all scans. */
  #beginScan(scans: readonly ProbeCall<"openFiles">[]): void {
    for (const { id } of scans) this.#begin(id, SCAN_DEADLINE_MS);
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
    // If this process was suspended, timers run before finished calls are noticed; `setImmediate` lets the finished
    // calls come first.
    const late = (): void => void setImmediate(() => this.#markLate());
    this.#lateTimer = setTimeout(late, Math.max(1, oldest - performance.now()));
  }

  /** Stops the timer, so that nothing wakes this process while no question is open. */
  #endWatchForLate(): void {
    if (this.#lateTimer !== null) clearTimeout(this.#lateTimer);
    this.#lateTimer = null;
  }

  #markLate(): void {
    this.#lateTimer = null;
    if (this.#retired) return;
    // Looks that began at nearly the same time hang for the same reason, so they are all reported as late:
    // the next child must not begin them again.
    const until = performance.now() + this.#lateAfterMs * LATE_MARGIN;
    const late = [...this.#begun].filter(([, dueMs]) => dueMs <= until).map(([id]) => id);
    if (late.length > 0) this.#send(late);
    else this.#watchForLate();
  }
}

function send(reply: ProberReply, done?: () => void): void {
  process.send?.(reply, undefined, undefined, done);
}

// exit() would wait forever for a thread that hangs; SIGKILL does not.
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
  // The other end is our own daemon, in the same version, so the type holds.
  process.on("message", (message) => answering.take(message as ProberRequest));
} else endNow();
