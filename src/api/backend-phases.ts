// The phases of the backends in a status report, read leniently: the daemon may be of another version.
import { objectOf } from "../runtime/text/json-object.ts";
import { durationText } from "../runtime/text/plain-text.ts";
import type { BackendStatus } from "./contract.ts";

/** A backend's phase, as the daemon calls it; those that are not enabled have none here. */
export type BackendPhases = readonly string[];

/** The word for a phase that people read, in every face; `--json` and the API keep the phase's own name. */
export function phaseWord(phase: BackendStatus["phase"]): string {
  return phase === "Initializing" ? "Starting" : phase;
}

/** Said beside the phase, which may be Ready until the next check: "1 call has waited 45 s". Null: no call waits long. */
export function waitingText({ waiting_calls: waiting }: Pick<BackendStatus, "waiting_calls">): string | null {
  if (waiting === undefined) return null;
  const { count, longest_ms: longestMs } = waiting;
  const lasted = durationText(longestMs);
  return count === 1 ? `1 call has waited ${lasted}` : `${count} calls have waited up to ${lasted}`;
}

/** Null: it has no gateway. What it does not say in a way that is understood has no phase. */
export function backendPhases(report: unknown): BackendPhases | null {
  const { gateway, backends } = objectOf(report);
  if (gateway === undefined) return null;
  return (Array.isArray(backends) ? backends : []).flatMap((backend) => {
    const { enabled, phase } = objectOf(backend);
    return enabled === true && typeof phase === "string" ? [phase] : [];
  });
}
