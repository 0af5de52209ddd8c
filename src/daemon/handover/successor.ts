// The old daemon's side of a handover: the successor's process, and the messages to it.
import { type ChildProcess, spawn } from "node:child_process";
import type { HandedOffStream, PassedTo } from "../../gateway/frontend/http/passed-connections.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { ServiceSupervisor } from "../../runtime/process/service-supervisor.ts";
import { type Clock, resultWithin, settlesWithin } from "../../runtime/time/clock.ts";
import type { LateSession, MessageFromNew, MessageFromOld } from "./handover-messages.ts";
import { messageKind, NEEDED_MARK, SUCCESSOR_MARK } from "./handover-messages.ts";
import { type OwnCalls, PeerDaemon } from "./peer-daemon.ts";

export interface SuccessorProgram {
  /** The program, which is looked up again at each start, because an upgrade may have replaced it. */
  readonly command: string;
  readonly args: readonly string[];
}

export type Ready = Extract<MessageFromNew, { say: "ready" }>;

/**
 * Time for a passed connection to be acknowledged, ms. Long, because a busy daemon accepts them one by one.
 */
const PASS_MS = 15_000;
/** Time for an orderly stop, ms. */
const STOP_MS = 10_000;

export class Successor {
  readonly pid: number | null;
  /**
   * True if the whole service ends, because the successor was stopped while it took over, or because the successor's
   * own successor has ended.
   */
  wasStopped = false;
  /** The successor has taken over, and takes idle connections. */
  takesConnections = false;
  #hasTaken = false;
  readonly #child: ChildProcess;
  readonly #ready = Promise.withResolvers<Ready>();
  readonly #taken = Promise.withResolvers<boolean>();
  readonly #exited = Promise.withResolvers<void>();
  readonly #left = Promise.withResolvers<void>();
  /** Called with whether the successor has acknowledged the message of that number, or has ended before. */
  readonly #acknowledgements = new Map<number, (isThere: boolean) => void>();
  readonly #sending = new Set<Promise<void>>();
  #peer: PeerDaemon | null = null;
  #sent = 0;
  #isGone = false;
  #hasMovedOn = false;

  /**
   * Starts the process. `isNeeded`: this daemon has given up the home, so that the successor must start even
   * if the file has errors.
   */
  constructor({ command, args }: SuccessorProgram, supervisor: ServiceSupervisor, isNeeded: boolean) {
    const marks = { [SUCCESSOR_MARK]: "1", ...(isNeeded ? { [NEEDED_MARK]: "1" } : {}) };
    const child = spawn(command, [...args], {
      env: { ...process.env, ...supervisor.environment, ...marks },
      stdio: ["ignore", "inherit", "inherit", ...supervisor.descriptors, "ipc"],
    });
    this.#child = child;
    this.pid = child.pid ?? null;
    this.#ready.promise.catch(() => {});
    child.on("message", (message) => {
      if (messageKind(message) !== undefined) this.#hear(message as MessageFromNew);
    });
    child.once("error", (error) => this.#gone(`it cannot be started: ${error.message}`));
    child.once("exit", (code, signal) => {
      const hasStopped = code === 0 && this.#hasTaken && !this.#hasMovedOn;
      if (signal === "SIGTERM" || hasStopped) this.wasStopped = true;
      const gone = (): void =>
        this.#gone(`it ended with ${signal ?? code} before it was ready; its log has more`);
      // Messages that the child sent before its end may still arrive until the channel disconnects.
      if (child.connected) child.once("disconnect", gone);
      else gone();
    });
  }

  /** Resolves when the successor is ready; rejects with the reason if it does not become ready. */
  async ready(clock: Clock, deadlineMs: number, signal: AbortSignal): Promise<Ready> {
    const ready = await unlessAborted(resultWithin(clock, deadlineMs, this.#ready.promise), signal);
    if (ready === null) throw refused(`it was not ready after ${deadlineMs / 1_000} s`, null);
    return ready;
  }

  /** Reports that the home is free. Resolves with whether the successor has taken over. */
  async go(
    message: MessageFromOld & { say: "go" },
    handle: unknown,
    { clock, deadlineMs }: { readonly clock: Clock; readonly deadlineMs: number },
  ): Promise<boolean> {
    this.#post(message, handle);
    await settlesWithin(clock, deadlineMs, this.#taken.promise);
    this.#taken.resolve(false);
    return this.#taken.promise;
  }

  /** Resolves when the successor's process has ended, except if another daemon has taken over from the successor. */
  get gone(): Promise<void> {
    return this.#left.promise;
  }

  /** If this successor ends, another one is started: it has not taken over yet, and was not stopped. */
  get isFollowed(): boolean {
    return !this.#hasTaken && !this.wasStopped;
  }

  /** Sends a session. Resolves with true when the successor knows it; false: the successor has ended. */
  keep(session: Omit<LateSession, "n">): Promise<boolean> {
    const n = ++this.#sent;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#acknowledgements.set(n, resolve);
    if (this.#isGone || !this.#post({ say: "session", n, ...session })) resolve(false);
    return promise;
  }

  /**
   * Passes a connection by its handle; `stream`: an event stream continues there. Resolves when it has arrived or
   * cannot be sent, at the latest after `PASS_MS`.
   */
  async pass(handle: object, clock: Clock, stream: HandedOffStream | null = null): Promise<PassedTo> {
    if (this.#isGone) return "here";
    const n = ++this.#sent;
    const { promise, resolve } = Promise.withResolvers<PassedTo>();
    this.#acknowledgements.set(n, (isThere) => resolve(isThere ? "there" : "unknown"));
    // This process keeps the handle open until it is acknowledged: some systems drop a handle in transit that
    // no process has open.
    const message =
      stream === null ? ({ say: "connection", n } as const) : ({ say: "stream", n, stream } as const);
    const isSent = this.#post(message, handle, (error) => {
      if (error !== null) resolve("here");
    });
    if (!isSent) resolve("here");
    const isDone = await settlesWithin(clock, PASS_MS, promise);
    this.#acknowledgements.delete(n);
    return isDone ? promise : "unknown";
  }

  /** Reports that a client has ended its session here. */
  endSession(hash: string): void {
    this.#post({ say: "session_ended", hash });
  }

  ended(): void {
    this.#post({ say: "ended" });
  }

  /** Joins the calls in flight of both daemons. To be called once. */
  join(own: OwnCalls): PeerDaemon {
    this.#peer = new PeerDaemon(own, (message, onSent) => this.#post(message, undefined, onSent));
    return this.#peer;
  }

  /** Resolves when all messages are sent, or the successor has ended. */
  async allSent(): Promise<void> {
    await Promise.all(this.#sending);
  }

  /** Kills the successor, and with it its backends. Resolves when it has ended. */
  async kill(): Promise<void> {
    if (this.pid === null) return;
    this.#child.kill("SIGKILL");
    await this.#exited.promise;
  }

  /** Stops the successor normally, or kills it if that takes too long. Resolves when it has ended. */
  async stop(clock: Clock): Promise<void> {
    if (this.pid === null) return;
    this.#child.kill("SIGTERM");
    if (!(await settlesWithin(clock, STOP_MS, this.#exited.promise))) await this.kill();
  }

  /**
   * Lets this process end while the successor keeps running. The successor learns of the end from its closed
   * channel.
   */
  letGo(): void {
    this.#child.channel?.unref();
    this.#child.unref();
  }

  /** Sends a message; false if the successor has ended. `onSent` is called when it is written, or with why not. */
  #post(message: MessageFromOld, handle?: unknown, onSent?: (error: Error | null) => void): boolean {
    if (!this.#child.connected) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#sending.add(promise);
    void promise.then(() => this.#sending.delete(promise));
    this.#child.send(message, handle as never, (error) => {
      onSent?.(error);
      resolve();
    });
    return true;
  }

  #hear(message: MessageFromNew): void {
    if (message.say === "ready") this.#ready.resolve(message);
    else if (message.say === "failed") this.#ready.reject(refused(message.message, message.hint));
    else if (message.say === "taken") {
      this.#hasTaken = true;
      this.takesConnections = message.connections;
      this.#taken.resolve(true);
    } else if (message.say === "stopped") this.wasStopped = true;
    else if (message.say === "moved_on") this.#hasMovedOn = true;
    else if (message.say === "kept") {
      this.#acknowledgements.get(message.n)?.(true);
      this.#acknowledgements.delete(message.n);
    } else this.#peer?.hear(message);
  }

  #gone(why: string): void {
    this.#isGone = true;
    this.#ready.reject(refused(why, null));
    this.#taken.resolve(false);
    this.#peer?.over();
    for (const resolve of this.#acknowledgements.values()) resolve(false);
    this.#acknowledgements.clear();
    this.#exited.resolve();
    if (!this.#hasMovedOn || this.wasStopped) this.#left.resolve();
  }
}

/** The error of a handover that failed before anything changed. */
export function refused(why: string, hint: string | null): MountaineerError {
  return new MountaineerError("handover_failed", `the new daemon does not take over: ${why}`, {
    hint: hint ?? "the running daemon continues unchanged; correct the cause, then: mountaineer restart",
    retry: "later",
  });
}
