// The daemon's side of the warden, a small process that kills the process groups of backends if the daemon
// dies. Also kills the rest of a group whose leader has ended.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { errorText, systemErrorCode } from "../../../../runtime/errors.ts";
import type { RuntimeTools } from "../../../../runtime/log/runtime-tools.ts";
import { verifiedPath } from "../../../../runtime/process/build-copy.ts";
import { childEnvironment } from "../../../../runtime/process/child-process.ts";
import { backoffMs } from "../../../../runtime/time/backoff.ts";
import { settlesWithin, type Timer } from "../../../../runtime/time/clock.ts";

const RESTART_MS = { first: 100, most: 10_000 };
/** A warden that lasted this long resets the backoff. */
const CALM_MS = 30_000;
/** Time for killed processes to disappear. They no longer do anything, even if the kernel keeps them. */
const RELEASE_MS = 300;
/** Time for the warden to end; it ends its groups within 2 s. */
const END_MS = 3_000;

/** The warden process starts with the first backend. Disposing ends it and all process groups that it watches. */
export class Warden implements AsyncDisposable {
  readonly #options: RuntimeTools;
  readonly #groups = new Set<number>();
  #child: ChildProcess | null = null;
  #startedAtMs = 0;
  #failures = 0;
  #restartTimer: Timer | null = null;
  #disposed = false;

  constructor(options: RuntimeTools) {
    this.#options = options;
  }

  /** The warden's own process id; null: it does not run. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /**
   * The pipe to which a starting backend writes `+ID` of its group. Starts the warden if necessary; "ignore":
   * the warden cannot be started now.
   */
  channel(): Writable | "ignore" {
    if (this.#child === null && this.#restartTimer === null && !this.#disposed) this.#start();
    const channel = this.#child?.stdin;
    return channel?.writable ? channel : "ignore";
  }

  /** From now on the warden ends this group if the daemon dies. */
  watch(groupId: number): void {
    this.#groups.add(groupId);
    this.#write(`+${groupId}\n`);
  }

  /**
   * Called when the leader has ended: the rest of its group gets SIGKILL, and the warden forgets the group. Resolves
   * when the group is empty, or after 0.3 s.
   */
  async release(groupId: number): Promise<void> {
    const { clock } = this.#options;
    const signalled = signalGroup(groupId, "SIGKILL");
    // The warden must forget the group before the group is empty, because the number of an empty group may soon
    // belong to another group.
    if (this.#groups.delete(groupId)) this.#write(`-${groupId}\n`);
    if (!signalled) return;
    const deadlineMs = clock.monotonicMs() + RELEASE_MS;
    for (let delayMs = 2; clock.monotonicMs() < deadlineMs; delayMs = Math.min(100, delayMs * 2)) {
      await clock.sleep(delayMs);
      if (!signalGroup(groupId, 0)) return;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#restartTimer?.[Symbol.dispose]();
    const ending = this.#child;
    if (ending === null) return;
    const ended = once(ending, "exit");
    ending.stdin?.end();
    await settlesWithin(this.#options.clock, END_MS, ended);
  }

  #write(line: string): void {
    if (this.#child?.stdin?.writable) this.#child.stdin.write(line);
  }

  #start(): void {
    this.#restartTimer = null;
    this.#startedAtMs = this.#options.clock.monotonicMs();
    let started: ChildProcess;
    try {
      started = spawn("/bin/sh", [programPath("backend-warden.sh")], {
        cwd: "/",
        detached: true,
        env: childEnvironment(),
        stdio: ["pipe", "ignore", "ignore"],
      });
    } catch (error) {
      this.#onEnd(errorText(error));
      return;
    }
    this.#child = started;
    // Called once: a process that could not be started has no exit event.
    const end = (how: string): void => {
      started.stdin?.destroy();
      if (this.#child === started) this.#child = null;
      this.#onEnd(how);
    };
    started.once("error", (error) => {
      if (started.pid === undefined) end(errorText(error));
    });
    started.once("exit", (code, signal) => end(`exit ${signal ?? code}`));
    started.stdin?.on("error", () => {});
    started.unref();
    if (this.#groups.size > 0) this.#write([...this.#groups].map((id) => `+${id}\n`).join(""));
  }

  #onEnd(how: string): void {
    if (this.#disposed) return;
    const { clock, logger } = this.#options;
    if (clock.monotonicMs() - this.#startedAtMs > CALM_MS) this.#failures = 0;
    const afterMs = backoffMs(RESTART_MS, ++this.#failures);
    logger.warn("the servers' warden ended and is started again", { how, afterMs });
    this.#restartTimer = clock.setTimer(afterMs, () => this.#start());
  }
}

/** The path of a shell script: beside the bundle in a build, in `bin` when run from source. */
export function programPath(name: "backend-launch.sh" | "backend-warden.sh"): string {
  const folder = import.meta.url.endsWith(".ts") ? "../../../../../bin" : ".";
  return verifiedPath(fileURLToPath(new URL(`${folder}/${name}`, import.meta.url)));
}

/** Returns false if the group is empty. */
export function signalGroup(groupId: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-groupId, signal);
    return true;
  } catch (error) {
    // EPERM: the group has processes, but all of them run as another user.
    return systemErrorCode(error) === "EPERM";
  }
}
