// Every way in which what serves a mount of the loss table ends, brought about by SIGKILL and by cut cables.
import { readdir, readFile } from "node:fs/promises";
import type { TcpRelay } from "../../../src/demo/tcp-relay.ts";
import { systemErrorCode } from "../../../src/runtime/errors.ts";
import type { Monitor } from "../../support/daemon.ts";
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
  readonly tb: TcpRelay;
  readonly fallback: TcpRelay;
}

/** `cables`: those in use. Gives the daemon that runs afterwards. */
export async function bringAbout(
  end: End,
  home: LiveHome,
  cables: readonly TcpRelay[],
  monitor: Monitor,
): Promise<Monitor> {
  const parts: readonly string[] = end.split(/, | and /);
  const killDaemon = end === "cut while no daemon runs" || parts.includes("daemon");
  // All at once, as far as one program can.
  if (killDaemon) monitor.signal("SIGKILL");
  if (parts.includes("carrier")) await killAll(await carriersOf(home.home));
  if (parts.includes("rclone")) await killAll(await rclonesOf(home.home));
  if (killDaemon) await monitor.kill9();
  if (end.startsWith("cut")) await Promise.all(cables.map((cable) => cable.setMode("refuse")));
  return killDaemon ? home.start(["--unmount-on-exit"]) : monitor;
}

/** Serve mounts of this home. */
export function rclonesOf(home: string): Promise<readonly number[]> {
  return processesOf(
    (args) => args[0] === "rclone" && args[1] === "mount" && args.some((arg) => arg.startsWith(`${home}/`)),
  );
}

function carriersOf(home: string): Promise<readonly number[]> {
  return processesOf(
    (args) => args.some((arg) => arg.endsWith("/carrier.mjs")) && args.some((arg) => arg.startsWith(home)),
  );
}

async function processesOf(wanted: (args: readonly string[]) => boolean): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      return line !== "" && wanted(line.split("\0")) ? [Number(pid)] : [];
    }),
  );
  return found.flat();
}

export async function killAll(pids: readonly number[]): Promise<void> {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if (systemErrorCode(error) !== "ESRCH") throw error;
    }
  }
}
