// The daemon's side of the warden, a small process that ends the process groups of backends if the daemon could not, and
// the end of groups whose leader has ended.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { errorText, systemErrorCode } from "../../../../runtime/errors.ts";
import { childEnvironment } from "../../../../runtime/process/child-process.ts";
import { settledWithin, type Timer } from "../../../../runtime/time/clock.ts";
import type { GatewayTools } from "../../../gateway-tools.ts";

const RESTART_MS = { first: 100, atMost: 10_000, calmAfter: 30_000 };
/** What got SIGKILL does nothing any more, even where the kernel holds it or nobody reaps it. */
const RELEASE_AT_MOST_MS = 300;
/** It ends what is left within 2 s. */
const END_AT_MOST_MS = 3_000;

/** Costs nothing until the first backend starts. Disposing ends it, and every group that it still knows. */
export class Warden implements AsyncDisposable {
  readonly #options: GatewayTools;
  readonly #groups = new Set<number>();
  #child: ChildProcess | null = null;
  #startedAtMs = 0;
  #restartMs = RESTART_MS.first;
  #restartTimer: Timer | null = null;
  #disposed = false;

  constructor(options: GatewayTools) {
    this.#options = options;
  }

  /** Of the warden itself; null while there is none. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /**
   * For a starting backend, which writes `+ID` of its group to it, so that none is unknown for a moment. Starts the
   * warden when there is none; "ignore" while it cannot be started.
   */
  channel(): Writable | "ignore" {
    if (this.#child === null && this.#restartTimer === null && !this.#disposed) this.#start();
    const channel = this.#child?.stdin;
    return channel?.writable ? channel : "ignore";
  }

  /** The group of this leader is to be ended when the daemon ends. */
  watch(groupId: number): void {
    this.#groups.add(groupId);
    this.#write(`+${groupId}\n`);
  }

  /**
   * The leader has ended: the rest of its group gets SIGKILL, and the warden forgets it. Resolves when the group is
   * empty, or after 0.3 s.
   */
  async release(groupId: number): Promise<void> {
    const { clock } = this.#options;
    const signalled = signalGroup(groupId, "SIGKILL");
    // At once: whatever is in it is as good as gone, and its number may soon be another's.
    if (this.#groups.delete(groupId)) this.#write(`-${groupId}\n`);
    if (!signalled) return;
    const deadlineMs = clock.monotonicMs() + RELEASE_AT_MOST_MS;
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
    await settledWithin(this.#options.clock, END_AT_MOST_MS, ended);
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
    // Called once: what could not be started does not exit.
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
    if (clock.monotonicMs() - this.#startedAtMs > RESTART_MS.calmAfter) this.#restartMs = RESTART_MS.first;
    logger.warn("the backends' warden ended and is started again", { how, afterMs: this.#restartMs });
    this.#restartTimer = clock.setTimer(this.#restartMs, () => this.#start());
    this.#restartMs = Math.min(RESTART_MS.atMost, this.#restartMs * 2);
  }
}

/** Of a shell program that accompanies backends. A build has it beside its own programs; the sources, in `bin`. */
export function programPath(name: "backend-launch.sh" | "backend-warden.sh"): string {
  const folder = import.meta.url.endsWith(".ts") ? "../../../../../bin" : ".";
  return fileURLToPath(new URL(`${folder}/${name}`, import.meta.url));
}

/** False when nothing is in the group. */
export function signalGroup(groupId: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-groupId, signal);
    return true;
  } catch (error) {
    // EPERM: all in it run as another user, out of our reach, but there.
    return systemErrorCode(error) === "EPERM";
  }
}
