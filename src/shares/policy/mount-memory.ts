// The memory of the mount: which one it is, and how long the last ones have lasted.
import { backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import type { DecideInput } from "./decide-input.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import type { StepObservation } from "./share-observation.ts";
import { announce, clearPending, type Situation, setMemory, setOverride, setState } from "./situation.ts";

/** After a mount has lasted this long, ms, the next mount is made without a pause. */
const STEADY_MS = 10_000;

export function updateMountIdentity(before: Situation): Situation {
  const { mount } = before.observed;
  let now = before;
  if ((mount?.found.id ?? null) !== now.state.mountId) now = updateChanged(now);
  const activeInterface = mount?.found.route ?? "none";
  const { memory, state } = now;
  if (memory.activeInterface !== activeInterface) now = setMemory(now, { activeInterface });
  if (activeInterface === "fallback" || state.operation !== null) return now;
  return clearPending(now, mount === null ? "unmounted" : "no longer mounted over fallback");
}

function updateChanged(before: Situation): Situation {
  const { mount, lastStep } = before.observed;
  const id = mount?.found.id ?? null;
  const isOurs = isOurDoing(lastStep, id);
  const now = setState(before, {
    ...{ mountId: id, firstFailedCheck: null, pendingCheck: null, suspectedLoss: null },
    madeMount: isOurs ? id : null,
  });
  if (mount === null) return updateVanished(now, before.state.mountId);
  if (isOurs) return now;
  const { route, source, path } = mount.found;
  const next = announce(now, { name: "share.adopted", route: route ?? "unknown", source, path });
  const isReleased = now.memory.override === "unmounted" && now.state.operation === null;
  return isReleased ? setOverride(next, null) : next;
}

function isOurDoing(last: StepObservation | null, id: string | null): boolean {
  return last?.kind === "mount" && last.outcome.ok && last.outcome.mount.id === id && !last.outcome.adopted;
}

function updateVanished(now: Situation, mountId: string | null): Situation {
  if (now.observed.lastStep?.kind === "unmount") return now;
  const next = mountId === null ? now : setState(now, shortLife(now, mountId));
  return announce(next, { name: "share.vanished", from: now.memory.activeInterface });
}

/** Ends the pauses between mounts once a mount has lasted. */
export function endedBackoff({ observed, state: { mountedAtMs } }: DecideInput): Partial<ReconcileState> {
  const isYoung = mountedAtMs !== null && observed.atMs - mountedAtMs < STEADY_MS;
  return isYoung ? {} : { mountBackoff: NO_BACKOFF };
}

/**
 * The first mount that dies soon after it was made is replaced at once, later ones at increasing intervals (backoff).
 */
export function shortLife({ observed, state }: DecideInput, mountId: string): Partial<ReconcileState> {
  const { shortLived, mountedAtMs, mountBackoff } = state;
  const { atMs } = observed;
  if (mountedAtMs === null || atMs - mountedAtMs >= STEADY_MS || shortLived === mountId) return {};
  const isFirst = mountBackoff.failures === 0;
  return {
    shortLived: mountId,
    mountBackoff: isFirst ? { failures: 1, notBeforeMs: atMs } : backOff(mountBackoff, atMs),
  };
}
