// Finds the daemon that replaces one that has ended, and waits for its backends.
import type { BackendPhases } from "../api/backend-phases.ts";
import type { DaemonClient } from "../api/client/client.ts";
import { gatewayOff } from "../api/gateway-names.ts";
import { expecting } from "../runtime/errors.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { FIRST_LISTS_MS } from "./ends.ts";

const BETWEEN_LOOKS_MS = 100;

/** A daemon as far as a bridge needs it. */
export type BridgedDaemon = Pick<DaemonClient, "mcpSocketPath" | "backendPhases">;
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
  const daemon = await find().catch(expecting("daemon_unreachable", null));
  if (daemon === null) return null;
  const deadline = clock.monotonicMs() + FIRST_LISTS_MS;
  for (;;) {
    const phases = await phasesOf(daemon, signal);
    signal.throwIfAborted();
    if (!phases.some(isFirstAttempt) || clock.monotonicMs() >= deadline) return daemon;
    await clock.sleep(BETWEEN_LOOKS_MS, signal);
  }
}

/** None when they are not to be had: whether it takes a client it tells itself. Rejects with `gateway_off`. */
async function phasesOf(daemon: BridgedDaemon, signal: AbortSignal): Promise<BackendPhases> {
  let phases: BackendPhases | null;
  try {
    phases = await daemon.backendPhases(signal);
  } catch {
    return [];
  }
  if (phases === null) throw gatewayOff();
  return phases;
}

function isFirstAttempt(phase: string): boolean {
  return phase === "Pending" || phase === "Initializing";
}
