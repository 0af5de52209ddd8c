// Changes `on_route_change` of the demo's share: edits the live configuration, and remounts the share.

import { MountaineerError } from "../../runtime/errors.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { Stage } from "./stage.ts";
import { SHARE } from "./stage-layout.ts";

/** The exit code of `mountaineer unmount` while files are open (`share_busy`). */
const BUSY_EXIT = 7;
const BUSY_TRIES = 20;
const BUSY_PAUSE_MS = 60;

/**
 * Sets `on_route_change` in the configuration and remounts the share. Resolves when the share is mounted again. Rejects
 * with `share_busy` while a file is open, and with `mount_failed`.
 */
export async function setRouteChange(
  stage: Stage,
  onRouteChange: "move" | "remount",
  signal: AbortSignal,
): Promise<void> {
  await run(stage, ["config", "set", "global.on_route_change", onRouteChange], signal);
  await run(stage, ["unmount", "--share", SHARE], signal);
  await run(stage, ["mount", "--share", SHARE], signal);
}

async function run(stage: Stage, args: readonly string[], signal: AbortSignal): Promise<void> {
  for (let tries = 1; ; tries++) {
    const { exitCode, stdout, stderr } = await stage.mountaineer(args);
    if (exitCode === 0) return;
    // Retries, because the demo's own reads keep a file open for some milliseconds each.
    if (exitCode === BUSY_EXIT && tries < BUSY_TRIES) {
      await systemClock.sleep(BUSY_PAUSE_MS, signal);
      continue;
    }
    const output = (stderr || stdout).trim();
    throw new MountaineerError(
      exitCode === BUSY_EXIT ? "share_busy" : "mount_failed",
      `mountaineer ${args.join(" ")} ended with ${exitCode}: ${output}`,
    );
  }
}
