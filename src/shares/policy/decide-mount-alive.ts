// What follows from the fact about the mount: what the next decision needs to know, and pauses after short-lived mounts.
import { backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import { type DecisionBuilder, recheckAt, setState } from "./decision-builder.ts";
import type { MountVerdict } from "./mount-fact.ts";
import type { RouteFact } from "./route-fact.ts";

/** After a mount has lasted this long, ms, the next mount is made without a pause. */
const STEADY_MS = 10_000;

/** The verdict on the observed mount; records what its checks showed. */
export function takeVerdict(builder: DecisionBuilder): MountVerdict {
  if (builder.mountFact === null) return { state: "unproven", why: "unchecked" };
  const { verdict, learned, recheckAtMs, condition } = builder.mountFact;
  setState(builder, learned);
  if (recheckAtMs !== null) recheckAt(builder, recheckAtMs);
  if (condition !== null) builder.conditions.push(condition);
  return verdict;
}

/** Whether the route in use answers; records what its probes showed. */
export function takeRoute(builder: DecisionBuilder): RouteFact["state"] {
  if (builder.routeFact === null) return "answers";
  const { state, suspectedLoss, recheckAtMs } = builder.routeFact;
  setState(builder, { suspectedLoss });
  if (recheckAtMs !== null) recheckAt(builder, recheckAtMs);
  return state;
}

/** Ends the pauses between mounts once a mount has lasted. */
export function endBackoff(builder: DecisionBuilder): void {
  const { mountedAtMs } = builder.state;
  if (mountedAtMs !== null && builder.observed.atMs - mountedAtMs < STEADY_MS) return;
  setState(builder, { mountBackoff: NO_BACKOFF });
}

/**
 * The first mount that dies soon after it was made is replaced at once, later ones at increasing intervals (backoff).
 */
export function updateShortLife(builder: DecisionBuilder, mountId: string): void {
  const { shortLived, mountedAtMs, mountBackoff } = builder.state;
  const { atMs } = builder.observed;
  if (mountedAtMs === null || atMs - mountedAtMs >= STEADY_MS || shortLived === mountId) return;
  setState(builder, {
    shortLived: mountId,
    mountBackoff:
      mountBackoff.failures === 0 ? { failures: 1, notBeforeMs: atMs } : backOff(mountBackoff, atMs),
  });
}
