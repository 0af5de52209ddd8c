// Owns goals of several steps: unmount where needed, then the plan's routes in order until one mounts.
import { backOff, NO_BACKOFF } from "../reconcile/route-health.ts";
import { finishArrived, finishExhausted, finishUnmounted, stopErrand } from "./decide-errand-end.ts";
import { isDeadErrno } from "./decide-routes.ts";
import { answers, type Draft, hostOf, setEpisode, setError } from "./draft.ts";
import type { Errand } from "./episode.ts";
import type { MountStepSeen, OpenFilesSeen, UnmountStepSeen } from "./share-seen.ts";
import type { RouteName } from "./share-spec.ts";
import type { Step } from "./step.ts";

/** An open-file check older than this says nothing any more, ms. */
const OPEN_FILES_FRESH_MS = 1000;

export type ErrandStart = Pick<Errand, "kind" | "reason" | "mode" | "plan" | "goal"> & {
  readonly asked?: boolean;
};

export function startErrand(draft: Draft, start: ErrandStart): Step | null {
  const { mount } = draft.seen;
  const errand: Errand = {
    asked: isAnswering(draft),
    ...start,
    startedAtMs: draft.seen.atMs,
    from: mount === null ? "none" : (mount.found.route ?? "unknown"),
    failures: [],
  };
  setEpisode(draft, { errand });
  return continueErrand(draft);
}

/** What the rules do for a person who asked for a mount, or for the rules, answers that person. */
function isAnswering({ request, outcome }: Draft): boolean {
  if (request === null || outcome !== null) return false;
  return request.kind === "mount" || (request.kind === "switch" && request.to === "auto");
}

export function continueErrand(draft: Draft): Step | null {
  const { errand } = draft.episode;
  if (errand === null) return null;
  const { mount } = draft.seen;
  if (mount !== null) {
    if (isUnsafe(draft, errand)) return stopErrand(draft, "the other host stopped answering");
    // Counted before the unmount: afterwards the links of open files lose their paths.
    if (errand.mode === "force" && freshOpenFiles(draft) === null) {
      return { kind: "check_open_files", mount: mount.found };
    }
    return { kind: "unmount", mount: mount.found, mode: errand.mode };
  }
  if (errand.kind === "unmount") return finishUnmounted(draft, errand);
  return nextRoute(draft, errand);
}

/** A failover never unmounts without a live target. */
function isUnsafe(draft: Draft, errand: Errand): boolean {
  return errand.kind === "failover" && !errand.plan.some((route) => answers(draft, route));
}

function nextRoute(draft: Draft, errand: Errand): Step | null {
  const failures = [...errand.failures];
  for (const [index, route] of errand.plan.entries()) {
    if (answers(draft, route)) {
      setEpisode(draft, { errand: { ...errand, plan: errand.plan.slice(index), failures } });
      draft.transitions.push({
        name: "share.mount_attempt",
        route,
        host: hostOf(draft, route),
        reason: errand.reason,
      });
      return { kind: "mount", route };
    }
    failures.push(`${hostOf(draft, route)}: ${draft.seen.routes[route].probe.text}`);
  }
  return finishExhausted(draft, { ...errand, plan: [], failures });
}

/** The newest open-file check, unless it is too old. */
export function freshOpenFiles(draft: Draft): OpenFilesSeen | null {
  const { openFiles, atMs } = draft.seen;
  return openFiles !== null && atMs - openFiles.atMs <= OPEN_FILES_FRESH_MS ? openFiles : null;
}

export function foldLastStep(draft: Draft): void {
  const { lastStep } = draft.seen;
  if (lastStep === null) return;
  if (lastStep.kind === "mount") foldMounted(draft, lastStep);
  else foldUnmounted(draft, lastStep);
}

function foldMounted(draft: Draft, last: MountStepSeen): void {
  const { errand } = draft.episode;
  const { route } = last.step;
  if (last.outcome.ok) {
    setEpisode(draft, { mountBackoff: NO_BACKOFF, suspicion: null, deadLook: null });
    if (errand !== null) finishArrived(draft, errand, route);
    return;
  }
  const { text } = last.outcome;
  const host = hostOf(draft, route);
  draft.transitions.push({
    name: "share.mount_failed",
    route,
    host,
    reason: text,
    duration_ms: Math.round(last.tookMs),
  });
  if (errand === null) return;
  setEpisode(draft, {
    errand: { ...errand, plan: errand.plan.slice(1), failures: [...errand.failures, `${host}: ${text}`] },
  });
}

function foldUnmounted(draft: Draft, last: UnmountStepSeen): void {
  const { errand } = draft.episode;
  const { outcome, step } = last;
  const from = step.mount.route ?? "unknown";
  const duration_ms = Math.round(last.tookMs);
  if (outcome.ok) {
    const files = draft.seen.openFiles;
    const forced = step.mode === "force";
    if (forced) setEpisode(draft, { unsentWatched: true });
    draft.transitions.push({
      name: "share.unmounted",
      from,
      forced,
      reason: errand?.reason ?? "",
      duration_ms,
      open_files: files?.holders.length ?? 0,
      unsent_files: files?.unsent.length ?? 0,
    });
    return;
  }
  const busy = outcome.reason === "busy";
  // A check that sees nothing while the system answers EBUSY repeats each cycle; it is told once.
  if (!busy || !draft.episode.announcedBusy) {
    draft.transitions.push({ name: "share.unmount_failed", from, reason: outcome.text, duration_ms, busy });
  }
  setEpisode(draft, { announcedBusy: busy });
  if (errand === null) return;
  if (!busy) {
    setEpisode(draft, { mountBackoff: backOff(draft.episode.mountBackoff, draft.seen.atMs) });
    setError(draft, `unmount failed: ${outcome.text}`);
  }
  stopErrand(draft, outcome.text, busy);
}

/** Whether the last look says that what is mounted no longer answers. */
export function looksDead(draft: Draft): boolean {
  const { mount } = draft.seen;
  if (mount === null) return false;
  return mount.found.processGone || (mount.look.state === "answered" && isDeadErrno(mount.look.errno));
}

/** Routes to try for a mount meant for `first`: it, then the other. */
export function routesFrom(first: RouteName): RouteName[] {
  return first === "tb" ? ["tb", "fallback"] : ["fallback", "tb"];
}
