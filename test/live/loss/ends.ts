// Every way in which what serves a mount of the loss table ends, brought about by SIGKILL and by cut cables.
import type { SimulatedCable } from "../../../src/demo/stage/simulated-cable.ts";
import type { Monitor } from "../../support/daemon.ts";
import { carriersOf, killAll, rclonesOf } from "../../support/processes.ts";
import type { LiveHome } from "../live-home.ts";

export const ENDS = [
  "cut",
  "rclone",
  "daemon",
  "daemon and rclone",
  "cut while no daemon runs",
  "carrier",
  "daemon, carrier and rclone",
] as const;
export type End = (typeof ENDS)[number];

/** Of these a mount for each route knows nothing. */
export const NEEDS_CARRIER: readonly End[] = ["carrier", "daemon, carrier and rclone"];
/** A carried mount goes on: nothing may be lost, nor set aside, nor may an open file fail. */
export const CARRIED_GOES_ON: readonly End[] = ["cut", "daemon", "cut while no daemon runs", "carrier"];

export interface Cables {
  readonly tb: SimulatedCable;
  readonly fallback: SimulatedCable;
}

/** `cables`: those in use. Gives the daemon that runs afterwards. */
export async function bringAbout(
  end: End,
  home: LiveHome,
  cables: readonly SimulatedCable[],
  monitor: Monitor,
): Promise<Monitor> {
  const parts: readonly string[] = end.split(/, | and /);
  const killDaemon = end === "cut while no daemon runs" || parts.includes("daemon");
  // All at once, as far as one program can.
  if (killDaemon) monitor.signal("SIGKILL");
  if (parts.includes("carrier")) killAll(await carriersOf(home.home));
  if (parts.includes("rclone")) killAll(await rclonesOf(home.home));
  if (killDaemon) await monitor.kill9();
  if (end.startsWith("cut")) await Promise.all(cables.map((cable) => cable.setMode("refuse")));
  return killDaemon ? home.start(["--unmount-on-exit"]) : monitor;
}
