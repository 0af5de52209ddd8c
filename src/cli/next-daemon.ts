// Owns finding the daemon that follows one that has ended, and waiting until its backends are there.
import type { DaemonClient } from "../api/client.ts";
import type { StatusReport } from "../api/contract.ts";
import { gatewayOff } from "../api/gateway-names.ts";
import type { Clock } from "../runtime/clock.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { FIRST_LISTS_MS } from "./bridge-ends.ts";

const BETWEEN_LOOKS_MS = 100;

/** A daemon as far as a bridge needs it. */
export type BridgedDaemon = Pick<DaemonClient, "mcpSocketPath" | "status">;
/** The daemon that runs now, or null. */
export type FindDaemon = () => Promise<BridgedDaemon | null>;

/**
 * The daemon that runs now, when its backends are ready or have failed, or after 5 s: the client is told that the lists
 * have changed, and asks for them at once. Null when there is none. Rejects with `gateway_off`, and as `find` does.
 */
export async function nextDaemon(
  find: FindDaemon,
  clock: Clock,
  signal: AbortSignal,
): Promise<BridgedDaemon | null> {
  const daemon = await unlessGone(find());
  if (daemon === null) return null;
  const deadline = clock.monotonicMs() + FIRST_LISTS_MS;
  for (;;) {
    const report = await statusOf(daemon, signal);
    signal.throwIfAborted();
    if (report === null || isSettled(report) || clock.monotonicMs() >= deadline) return daemon;
    await clock.sleep(BETWEEN_LOOKS_MS, signal);
  }
}

/** Null for a daemon that ended as it was asked. */
async function unlessGone(found: Promise<BridgedDaemon | null>): Promise<BridgedDaemon | null> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof MountaineerError && error.code === "daemon_unreachable") return null;
    throw error;
  }
}

/** Null when it is not to be had: a daemon of another version may serve MCP all the same. Rejects with `gateway_off`. */
async function statusOf(daemon: BridgedDaemon, signal: AbortSignal): Promise<StatusReport | null> {
  let report: StatusReport;
  try {
    report = await daemon.status(signal);
  } catch {
    return null;
  }
  if (report.gateway === undefined) throw gatewayOff();
  return report;
}

/** No backend is in its first attempt. */
function isSettled({ backends = [] }: StatusReport): boolean {
  return backends.every(
    ({ enabled, phase }) => !enabled || (phase !== "Pending" && phase !== "Initializing"),
  );
}
