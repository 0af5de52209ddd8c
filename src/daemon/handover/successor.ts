// The old daemon's side of a handover: the successor's process, and the messages to it.
import { type ChildProcess, spawn } from "node:child_process";
import { unlessAborted } from "../../runtime/abort.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { ServiceSupervisor } from "../../runtime/process/service-supervisor.ts";
import { type Clock, resultWithin, settlesWithin } from "../../runtime/time/clock.ts";
import type { Go, MessageFromNew, MessageFromOld } from "./handover-messages.ts";
import { messageKind, NEEDED_MARK, type PassedMessage, SUCCESSOR_MARK } from "./handover-messages.ts";
import { type OwnSessions, PeerDaemon } from "./peer-daemon.ts";

export interface SuccessorProgram {
  /** The program, which is looked up again at each start, because an upgrade may have replaced it. */
  readonly command: string;
  readonly args: readonly string[];
}

export type Ready = Extract<MessageFromNew, { say: "ready" }>;

/** Time for an orderly stop, ms. */
const STOP_MS = 10_000;

export class Successor {
  readonly pid: number | null;
  /**
   * True if the whole service ends, because the successor was stopped while it took over, or because the successor's
   * own successor has ended.
   */
  wasStopped = false;
  #hasTaken = false;
  readonly #child: ChildProcess;
  readonly #ready = Promise.withResolvers<Ready>();
  readonly #taken = Promise.withResolvers<boolean>();
  readonly #exited = Promise.withResolvers<void>();
  readonly #left = Promise.withResolvers<void>();
  readonly #sending = new Set<Promise<void>>();
  #peer: PeerDaemon | null = null;
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
    message: Go,
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

  ended(): void {
    this.#post({ say: "ended" });
  }

  /** From now on, each of both daemons gets what clients send to the other one about it. To be called once. */
  join(own: OwnSessions, clock: Clock): PeerDaemon {
    const post = (message: PassedMessage, onSent?: () => void): boolean =>
      this.#post(message, undefined, onSent);
    this.#peer = new PeerDaemon(own, { clock, post });
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

  /** Sends a message; false if the successor has ended. `onSent` is called when it is written. */
  #post(message: MessageFromOld, handle?: unknown, onSent?: () => void): boolean {
    if (!this.#child.connected) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#sending.add(promise);
    void promise.then(() => this.#sending.delete(promise));
    this.#child.send(message, handle as never, () => {
      onSent?.();
      resolve();
    });
    return true;
  }

  #hear(message: MessageFromNew): void {
    if (message.say === "ready") this.#ready.resolve(message);
    else if (message.say === "failed") this.#ready.reject(refused(message.message, message.hint));
    else if (message.say === "taken") {
      this.#hasTaken = true;
      this.#taken.resolve(true);
    } else if (message.say === "stopped") this.wasStopped = true;
    else if (message.say === "moved_on") this.#hasMovedOn = true;
    else this.#peer?.hear(message);
  }

  #gone(why: string): void {
    this.#ready.reject(refused(why, null));
    this.#taken.resolve(false);
    this.#peer?.over();
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
