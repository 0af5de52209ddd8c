// Every way in which what serves a mount of the loss table ends, brought about by SIGKILL and by cut cables.
import type { SimulatedCable } from "../../../src/demo/stage/simulated-cable.ts";
import type { Monitor } from "../../support/daemon.ts";
import { killAll, serversOf } from "../../support/processes.ts";
import type { LiveHome } from "../live-home.ts";

export const ENDS = ["cut", "program", "daemon", "daemon and program", "cut while no daemon runs"] as const;
export type End = (typeof ENDS)[number];

/** A share that moves goes on: no open file may fail. */
export const MOVING_GOES_ON: readonly End[] = ["cut", "daemon", "cut while no daemon runs"];

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
  const killDaemon = end !== "cut" && end !== "program";
  // All at once, as far as one program can.
  if (killDaemon) monitor.signal("SIGKILL");
  if (end.endsWith("program")) killAll(await serversOf(home.home));
  if (killDaemon) await monitor.kill9();
  if (end.startsWith("cut")) await Promise.all(cables.map((cable) => cable.setMode("refuse")));
  return killDaemon ? home.start(["--unmount-on-exit"]) : monitor;
}
