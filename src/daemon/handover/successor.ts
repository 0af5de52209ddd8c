// The old daemon's side of a handover: the process that is to follow, and what is said to it.
import { type ChildProcess, spawn } from "node:child_process";
import type { PassedTo } from "../../gateway/front/http/passed-connections.ts";
import type { OtherDaemon, SuspendedCalls } from "../../gateway/front/suspended/suspended-calls.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { ServiceKeeper } from "../../runtime/process/service-keeper.ts";
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";
import type { ClientWords, LateSession, SaidByNew, SaidByOld } from "./link-messages.ts";
import { NEEDED_MARK, SUCCESSOR_MARK, saidIn } from "./link-messages.ts";
import { PassedRequests } from "./passed-requests.ts";

export interface SuccessorProgram {
  /** Looked up again at each start: the package may be another one by then. */
  readonly command: string;
  readonly args: readonly string[];
}

export type Ready = Extract<SaidByNew, { say: "ready" }>;

/** For a connection to get there, ms: one after the other goes, and the next daemon may have much to do. */
const PASS_MS = 15_000;
/** For a stop in order, as anywhere. */
const STOP_MS = 10_000;

export class Successor {
  readonly pid: number | null;
  /** Called with what clients say to it that is about something in flight here. */
  onWords: (words: ClientWords) => void = () => {};
  /** It was told to end while it took over, or the one after it has ended: that was meant for the service. */
  wasStopped = false;
  /** Since it has taken over: connections that wait between requests. */
  takesConnections = false;
  readonly #child: ChildProcess;
  readonly #ready = Promise.withResolvers<Ready>();
  readonly #taken = Promise.withResolvers<boolean>();
  readonly #exited = Promise.withResolvers<void>();
  readonly #left = Promise.withResolvers<void>();
  readonly #kept = new Map<number, () => void>();
  readonly #saying = new Set<Promise<void>>();
  #passed: PassedRequests | null = null;
  #sent = 0;
  #isGone = false;
  #hasMovedOn = false;

  /** `isNeeded`: the home is nobody's, and it is to take it even where its file has mistakes. */
  constructor({ command, args }: SuccessorProgram, keeper: ServiceKeeper, isNeeded: boolean) {
    const marks = { [SUCCESSOR_MARK]: "1", ...(isNeeded ? { [NEEDED_MARK]: "1" } : {}) };
    const child = spawn(command, [...args], {
      env: { ...process.env, ...keeper.environment, ...marks },
      stdio: ["ignore", "inherit", "inherit", ...keeper.descriptors, "ipc"],
    });
    this.#child = child;
    this.pid = child.pid ?? null;
    this.#ready.promise.catch(() => {});
    child.on("message", (message) => {
      if (saidIn(message) !== undefined) this.#hear(message as SaidByNew);
    });
    child.once("error", (error) => this.#gone(`it cannot be started: ${error.message}`));
    child.once("exit", (code, signal) => {
      if (signal === "SIGTERM") this.wasStopped = true;
      const gone = (): void =>
        this.#gone(`it ended with ${signal ?? code} before it was ready; its log has more`);
      // What it said last may not be heard yet.
      if (child.connected) child.once("disconnect", gone);
      else gone();
    });
  }

  /** Rejects with why it will not be. */
  async ready(clock: Clock, deadlineMs: number, signal: AbortSignal): Promise<Ready> {
    const asked = Promise.withResolvers<never>();
    const onAbort = (): void => asked.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      const settled = Promise.race([this.#ready.promise, asked.promise]);
      const inTime = await settledWithin(clock, deadlineMs, settled);
      if (!inTime) throw refused(`it was not ready after ${deadlineMs / 1_000} s`, null);
      return await settled;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** The home is free. Resolves with whether it has taken over. */
  async go(
    door: SaidByOld & { say: "go" },
    handle: unknown,
    { clock, deadlineMs }: { readonly clock: Clock; readonly deadlineMs: number },
  ): Promise<boolean> {
    this.#say(door, handle);
    await settledWithin(clock, deadlineMs, this.#taken.promise);
    this.#taken.resolve(false);
    return this.#taken.promise;
  }

  /** Resolves when its process has ended, and not because another one is in charge. */
  get gone(): Promise<void> {
    return this.#left.promise;
  }

  /** Resolves when it knows the session, or is gone. */
  keep(session: Omit<LateSession, "n">): Promise<void> {
    const n = ++this.#sent;
    return new Promise((resolve) => {
      if (this.#isGone || !this.#child.connected) {
        resolve();
        return;
      }
      this.#kept.set(n, resolve);
      this.#say({ say: "session", n, ...session });
    });
  }

  /** Passes a connection on, by its handle; resolves when it is there, or all is gone, or after `PASS_MS`. */
  async pass(handle: object, clock: Clock): Promise<PassedTo> {
    if (this.#isGone) return "here";
    const n = ++this.#sent;
    const { promise, resolve } = Promise.withResolvers<PassedTo>();
    this.#kept.set(n, () => resolve("there"));
    // Its end here is kept until then: not every system holds what nobody has between two processes.
    const isSaid = this.#say({ say: "connection", n }, handle, () => resolve("here"));
    if (!isSaid) resolve("here");
    const isSettled = await settledWithin(clock, PASS_MS, promise);
    this.#kept.delete(n);
    return isSettled ? promise : "unknown";
  }

  /** Its client has ended the session here. */
  endSession(hash: string): void {
    this.#say({ say: "session_ended", hash });
  }

  ended(): void {
    this.#say({ say: "ended" });
  }

  /** Passes it what belongs there, and takes what it passes. Once. */
  passing(suspended: SuspendedCalls): OtherDaemon {
    this.#passed = new PassedRequests(suspended, (message) => this.#say(message));
    return this.#passed;
  }

  /** Resolves when all that was said is with it, or it is gone. */
  async told(): Promise<void> {
    await Promise.all(this.#saying);
  }

  /** At once; its backends end with it. Resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.pid === null) return;
    this.#child.kill("SIGKILL");
    await this.#exited.promise;
  }

  /** In order, or at once when that takes too long. Resolves when it is gone. */
  async stop(clock: Clock): Promise<void> {
    if (this.pid === null) return;
    this.#child.kill("SIGTERM");
    if (!(await settledWithin(clock, STOP_MS, this.#exited.promise))) await this.kill();
  }

  /** It goes on without us. It hears that we have ended when our process has, and all that this one ends first. */
  letGo(): void {
    this.#child.channel?.unref();
    this.#child.unref();
  }

  /** False: nobody hears it. `onUnsent`: nobody will, as it turned out. */
  #say(message: SaidByOld, handle?: unknown, onUnsent?: () => void): boolean {
    // Whoever is gone hears nothing; that it is gone is told by its end.
    if (!this.#child.connected) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#saying.add(promise);
    void promise.then(() => this.#saying.delete(promise));
    this.#child.send(message, handle as never, (error) => {
      if (error !== null) onUnsent?.();
      resolve();
    });
    return true;
  }

  #hear(message: SaidByNew): void {
    if (message.say === "ready") this.#ready.resolve(message);
    else if (message.say === "failed") this.#ready.reject(refused(message.message, message.hint));
    else if (message.say === "taken") {
      this.takesConnections = message.connections === true;
      this.#taken.resolve(true);
    } else if (message.say === "stopped") this.wasStopped = true;
    else if (message.say === "moved_on") this.#hasMovedOn = true;
    else if (message.say === "words") this.onWords(message);
    else if (message.say === "kept") {
      this.#kept.get(message.n)?.();
      this.#kept.delete(message.n);
    } else this.#passed?.hear(message);
  }

  #gone(why: string): void {
    this.#isGone = true;
    this.#ready.reject(refused(why, null));
    this.#taken.resolve(false);
    this.#passed?.over();
    for (const resolve of this.#kept.values()) resolve();
    this.#kept.clear();
    this.#exited.resolve();
    if (!this.#hasMovedOn || this.wasStopped) this.#left.resolve();
  }
}

/** Nothing has changed: whoever was in charge is. */
export function refused(why: string, hint: string | null): MountaineerError {
  return new MountaineerError("handover_failed", `the new daemon does not take over: ${why}`, {
    hint: hint ?? "the running one goes on as it was; mend that, and say mountaineer restart again",
    retry: "later",
  });
}
