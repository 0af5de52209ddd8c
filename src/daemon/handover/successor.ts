// The old daemon's side of a handover: the process that is to follow, and what is said to it.
import { type ChildProcess, spawn } from "node:child_process";
import type { Holds, HoldsElsewhere } from "../../gateway/front/holds/holds.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { ServiceKeeper } from "../../runtime/process/service-keeper.ts";
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";
import type { LateSession, SaidByNew, SaidByOld } from "./link-messages.ts";
import { SUCCESSOR_MARK, saidIn } from "./link-messages.ts";
import { PassedRequests } from "./passed-requests.ts";

export interface SuccessorProgram {
  /** Looked up again at each start: the package may be another one by then. */
  readonly command: string;
  readonly args: readonly string[];
}

export type Ready = Extract<SaidByNew, { say: "ready" }>;

export class Successor {
  readonly pid: number | null;
  readonly #child: ChildProcess;
  readonly #ready = Promise.withResolvers<Ready>();
  readonly #taken = Promise.withResolvers<boolean>();
  readonly #exited = Promise.withResolvers<void>();
  readonly #kept = new Map<number, () => void>();
  readonly #saying = new Set<Promise<void>>();
  #passed: PassedRequests | null = null;
  #sent = 0;
  #isGone = false;

  constructor({ command, args }: SuccessorProgram, keeper: ServiceKeeper) {
    const child = spawn(command, [...args], {
      env: { ...process.env, ...keeper.environment, [SUCCESSOR_MARK]: "1" },
      stdio: ["ignore", "inherit", "inherit", ...keeper.descriptors, "ipc"],
    });
    this.#child = child;
    this.pid = child.pid ?? null;
    this.#ready.promise.catch(() => {});
    child.on("message", (message) => {
      if (saidIn(message) !== undefined) this.#hear(message as SaidByNew);
    });
    child.once("error", (error) => this.#gone(`it cannot be started: ${error.message}`));
    child.once("exit", (code, signal) =>
      this.#gone(`it ended with ${signal ?? code} before it was ready; its log has more`),
    );
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

  /** Resolves when its process has ended. */
  get gone(): Promise<void> {
    return this.#exited.promise;
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

  ended(): void {
    this.#say({ say: "ended" });
  }

  /** Passes it what belongs there, and takes what it passes. Once. */
  passing(holds: Holds): HoldsElsewhere {
    this.#passed = new PassedRequests(holds, (message) => this.#say(message));
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

  /** It goes on without us. */
  letGo(): void {
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }

  /** False: nobody hears it. */
  #say(message: SaidByOld, handle?: unknown): boolean {
    // Whoever is gone hears nothing; that it is gone is told by its end.
    if (!this.#child.connected) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#saying.add(promise);
    void promise.then(() => this.#saying.delete(promise));
    this.#child.send(message, handle as never, () => resolve());
    return true;
  }

  #hear(message: SaidByNew): void {
    if (message.say === "ready") this.#ready.resolve(message);
    else if (message.say === "failed") this.#ready.reject(refused(message.message, message.hint));
    else if (message.say === "taken") this.#taken.resolve(true);
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
  }
}

/** Nothing has changed: whoever was in charge is. */
export function refused(why: string, hint: string | null): MountaineerError {
  return new MountaineerError("handover_failed", `the new daemon does not take over: ${why}`, {
    hint: hint ?? "the running one goes on as it was; mend that, and say mountaineer restart again",
    retry: "later",
  });
}
