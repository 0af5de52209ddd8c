// The story's steps and checks. The checks read the daemon's status, and the file that a child process reads at the
// stable path.
import type { RouteName, ShareStatus } from "../../api/contract/contract.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { Stage } from "../stage/stage.ts";

export interface Step {
  readonly title: string;
  /** Resolves with the result to print. Rejects with `StoryFailure` when a check fails. */
  readonly play: () => Promise<string>;
}

export function step(title: string, play: Step["play"]): Step {
  return { title, play };
}

export class StoryFailure extends Error {}

export type Checks = ReturnType<typeof createChecks>;

const WITHIN_MS = 30_000;
const READ_WITHIN_MS = 3_000;
const BETWEEN_READS_MS = 5;
const BETWEEN_CHECKS_MS = 25;

export function createChecks(stage: Stage, signal: AbortSignal) {
  const waitFor = async (
    what: string,
    pauseMs: number,
    read: () => Promise<string | null>,
  ): Promise<number> => {
    const startedAtMs = systemClock.monotonicMs();
    for (;;) {
      const missing = await read();
      const tookMs = systemClock.monotonicMs() - startedAtMs;
      if (missing === null) return tookMs;
      if (stage.monitor?.running === false) throw new StoryFailure("the daemon has ended");
      if (tookMs > WITHIN_MS)
        throw new StoryFailure(`not so within ${WITHIN_MS / 1000} s: ${what} (${missing})`);
      await systemClock.sleep(pauseMs, signal);
    }
  };
  const checks = {
    /**
     * Writes a new text on the server. Resolves with the time until a child process has read that text
     * through the share, ms.
     */
    async readable(): Promise<number> {
      const expected = await stage.sign();
      return waitFor("the file is readable at the stable path", BETWEEN_READS_MS, async () => {
        const reading = await stage.read(READ_WITHIN_MS);
        if (!reading.ok) return reading.why;
        return reading.text === expected ? null : `it reads ${JSON.stringify(reading.text.trim())}`;
      });
    },
    /** Waits until `isTrue` is true of the share's status. Resolves with the time that took, ms. */
    until: (what: string, isTrue: (share: ShareStatus) => boolean): Promise<number> =>
      waitFor(what, BETWEEN_CHECKS_MS, async () => {
        const share = await stage.share();
        if (share === null) return "the daemon does not answer";
        return isTrue(share) ? null : describe(share);
      }),
    /** Resolves when `isTrue` has been true of each status during `forMs`. */
    async staysSo(what: string, forMs: number, isTrue: (share: ShareStatus) => boolean): Promise<void> {
      const untilMs = systemClock.monotonicMs() + forMs;
      while (systemClock.monotonicMs() < untilMs) {
        const share = await checks.share();
        if (!isTrue(share)) throw new StoryFailure(`not so: ${what} (${describe(share)})`);
        await systemClock.sleep(BETWEEN_CHECKS_MS, signal);
      }
    },
    /** Calls `missing` until it resolves with null. Resolves with the time that this took, ms. */
    eventually: (what: string, missing: () => Promise<string | null>): Promise<number> =>
      waitFor(what, BETWEEN_CHECKS_MS, missing),
    async sameMount(id: string | null): Promise<void> {
      const now = await stage.mountId();
      if (id === null || now !== id) throw new StoryFailure(`another mount: ${now} instead of ${id}`);
    },
    async share(): Promise<ShareStatus> {
      const share = await stage.share();
      if (share === null) throw new StoryFailure("the daemon does not answer");
      return share;
    },
    async command(args: readonly string[]): Promise<void> {
      const { exitCode, stdout, stderr } = await stage.mountaineer(args);
      if (exitCode === 0) return;
      throw new StoryFailure(`it ended with ${exitCode}: ${(stderr || stdout).trim()}`);
    },
  };
  return checks;
}

function describe(share: ShareStatus): string {
  const lines = [
    `active_interface ${share.active_interface}`,
    `mount_state ${share.mount_state}${share.mount_alive ? "" : ", not alive"}`,
    `Thunderbolt ${share.tb_reachable ? "answers" : "gone"}`,
    `Fallback ${share.fb_reachable ? "answers" : "gone"}`,
    ...(share.moves === undefined ? [] : [`moves, ${share.moves.phase}`]),
    ...(share.tb_recovery_pending ? ["TB Ready"] : []),
    ...(share.override === null ? [] : [`held ${share.override}`]),
    ...(share.last_error === null ? [] : [`last_error: ${share.last_error}`]),
    ...share.conditions.map(({ code, title }) => `${code}: ${title}`),
  ];
  return lines.join(", ");
}

export function mounted(share: ShareStatus, route: RouteName): boolean {
  return isOver(share, route) && share.mount_alive;
}

/** True if the share is mounted over that route, even if the daemon does not report the mount as alive. */
export function isOver(share: ShareStatus, route: RouteName): boolean {
  return share.active_interface === route && share.mount_state === "mounted";
}
