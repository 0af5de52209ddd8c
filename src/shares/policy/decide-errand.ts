// Owns goals of several steps: unmount where needed, then the plan's routes in order until one mounts.
import { backOff } from "../../reconcile/route-health.ts";
import { oneMissingText } from "../../secrets/reference.ts";
import type { RouteName } from "../share-spec.ts";
import { awaitsProof, carriesAt } from "./decide-carry.ts";
import {
  finishArrived,
  finishExhausted,
  finishFound,
  finishUnmounted,
  stopErrand,
} from "./decide-errand-end.ts";
import { continueMove, foldMoved } from "./decide-move.ts";
import { isDeadErrno } from "./decide-routes.ts";
import { answers, type Draft, hostOf, setEpisode, setError } from "./draft.ts";
import type { Errand, ErrandKind } from "./episode.ts";
import type { MountSeen, MountStepSeen, OpenFilesSeen, UnmountStepSeen } from "./share-seen.ts";
import type { Step } from "./step.ts";

/** How old a check may be that only counts what an unmount will cost, ms; its own deadline is shorter. */
const COUNT_FRESH_MS = 3000;

type ErrandStart = Pick<Errand, "kind" | "reason" | "mode" | "plan" | "goal" | "moves"> & {
  readonly asked?: boolean;
};

/** Starts it with its first step; null when it cannot be started: the error says why. */
export function startErrand(draft: Draft, start: ErrandStart): Step | null {
  const { mount } = draft.seen;
  const obstacle = whyNotBegun(draft, start);
  if (obstacle !== null) {
    setError(draft, obstacle);
    return null;
  }
  const errand: Errand = {
    asked: isAnswering(draft, start.kind),
    ...start,
    startedAtMs: draft.seen.atMs,
    from: mount === null ? "none" : (mount.found.route ?? "unknown"),
    failures: [],
    mountId: mount?.found.id ?? null,
    checked: false,
    cost: null,
  };
  setEpisode(draft, { errand });
  return continueErrand(draft);
}

/** Why nothing of ours could be mounted at our path, so that nothing that serves is unmounted for it either. */
export function whyNotMountable(draft: Draft): string | null {
  return whyNotOurs(draft) ?? draft.seen.driverProblem?.text ?? null;
}

function whyNotOurs({ spec, seen }: Draft): string | null {
  if (spec.missingVariable !== null) return oneMissingText(spec.missingVariable);
  return seen.taken === null ? null : `${spec.mountPath} is taken by ${seen.taken.source}`;
}

function whyNotBegun(draft: Draft, { kind, mode, moves }: ErrandStart): string | null {
  if (kind === "unmount" || moves) return null;
  // What is dead serves nobody: who waits in it is freed, whatever the driver lacks for now.
  const isDead = mode === "force" && kind !== "switch";
  return isDead ? whyNotOurs(draft) : whyNotMountable(draft);
}

/** What the rules do for a person who asked for a mount, or for the rules, answers that person. */
function isAnswering({ request, outcome }: Draft, kind: ErrandKind): boolean {
  if (request === null || outcome !== null) return false;
  if (request.kind === "mount") return kind !== "recovery";
  return request.kind === "switch" && request.to === "auto";
}

export function continueErrand(draft: Draft): Step | null {
  const { errand } = draft.episode;
  if (errand === null) return null;
  if (errand.moves) return continueMove(draft, errand);
  const { mount } = draft.seen;
  if (mount !== null && isForErrand(draft, errand, mount)) return unmountFor(draft, errand, mount);
  if (errand.kind === "unmount") return finishUnmounted(draft, errand);
  // Of two mounts of one share the other, elsewhere, comes to light once ours is gone; it is left alone.
  const isTwin = errand.mountId !== null && mount?.found.path !== draft.spec.mountPath;
  return mount === null || isTwin ? nextRoute(draft, errand) : finishFound(draft, errand, mount);
}

function isForErrand({ spec }: Draft, errand: Errand, { found }: MountSeen): boolean {
  // A person who wants the path free means whatever of this share is there.
  return found.id === errand.mountId || (errand.kind === "unmount" && found.path === spec.mountPath);
}

function unmountFor(draft: Draft, errand: Errand, mount: MountSeen): Step | null {
  const stop = whyStop(draft, errand, mount);
  if (stop !== null) return stopErrand(draft, stop);
  const files = countedOpenFiles(draft);
  // Counted before the unmount: afterwards the links of open files lose their paths.
  if (errand.mode === "force" && files === null && !errand.checked) {
    setEpisode(draft, { errand: { ...errand, checked: true } });
    return { kind: "check_open_files", mount: mount.found };
  }
  setEpisode(draft, { errand: { ...errand, cost: files } });
  return { kind: "unmount", mount: mount.found, mode: errand.mode };
}

/** What the rules began rests on what they saw; it ends when that is no longer so. */
function whyStop(
  draft: Draft,
  { kind, from, mode, plan }: Errand,
  { found, look, carried = null }: MountSeen,
): string | null {
  if (kind !== "failover" && kind !== "remount") return null;
  if (!plan.some((route) => answers(draft, route))) return "no other host answers any more";
  if (kind === "failover") {
    const isBack = (from === "tb" || from === "fallback") && answers(draft, from) && !plan.includes(from);
    return isBack ? "its own host answers again" : null;
  }
  // What its look found before its server was replaced says nothing.
  const isHeld = carried !== null && carried.phase !== "carrying";
  const isAlive = !isHeld && !found.processGone && look.state === "answered" && !isDeadErrno(look.errno);
  return mode === "force" && isAlive ? "the mount answers again" : null;
}

function nextRoute(draft: Draft, errand: Errand): Step | null {
  const failures = [...errand.failures];
  for (const [index, route] of errand.plan.entries()) {
    if (answers(draft, route)) {
      setEpisode(draft, { errand: { ...errand, plan: errand.plan.slice(index), failures } });
      const isCarried = carriesAt(draft, route);
      // Mounted now it would stay without a carrier until it is mounted anew.
      if (!isCarried && awaitsProof(draft)) return null;
      draft.transitions.push({
        name: "share.mount_attempt",
        route,
        host: hostOf(draft, route),
        reason: errand.reason,
      });
      return isCarried ? { kind: "mount", route, carried: true } : { kind: "mount", route };
    }
    failures.push(`${hostOf(draft, route)}: ${draft.seen.routes[route].probe.text}`);
  }
  return finishExhausted(draft, { ...errand, plan: [], failures });
}

/**
 * The open-file check of this cycle, or null when there is none. It says nothing once something was mounted or
 * unmounted since; how long it took does not matter, or a slow one would be asked for again and again.
 */
export function checkedOpenFiles({ seen }: Draft): OpenFilesSeen | null {
  const { openFiles, lastStep, routes } = seen;
  if (openFiles === null || openFiles.atMs < Math.max(routes.tb.atMs, routes.fallback.atMs)) return null;
  const changed = lastStep?.kind === "mount" || lastStep?.kind === "unmount";
  return !changed || !lastStep.outcome.ok ? openFiles : null;
}

/** A check good enough to count what an unmount costs: it may have been made while a loss was confirmed. */
function countedOpenFiles(draft: Draft): OpenFilesSeen | null {
  const { openFiles, atMs } = draft.seen;
  const isFresh = openFiles !== null && atMs - openFiles.atMs <= COUNT_FRESH_MS;
  return isFresh ? openFiles : checkedOpenFiles(draft);
}

export function foldLastStep(draft: Draft): void {
  const { lastStep } = draft.seen;
  if (lastStep === null) return;
  if (lastStep.kind === "mount") foldMounted(draft, lastStep);
  else if (lastStep.kind === "unmount") foldUnmounted(draft, lastStep);
  else if (lastStep.kind === "move") foldMoved(draft, lastStep);
}

function foldMounted(draft: Draft, last: MountStepSeen): void {
  const { errand } = draft.episode;
  const { mount } = draft.seen;
  const { route } = last.step;
  const text = last.outcome.ok ? whyUseless(mount) : last.outcome.text;
  if (text === null && mount !== null) {
    setEpisode(draft, { suspicion: null, deadLook: null, mountedAtMs: draft.seen.atMs });
    if (errand === null) return;
    // "Already there" is success when it is the share over that route; over another it is what was found.
    if (last.outcome.ok && last.outcome.adopted && mount.found.route !== route)
      finishFound(draft, errand, mount);
    else finishArrived(draft, errand, route);
    return;
  }
  const host = hostOf(draft, route);
  const reason = text ?? "";
  draft.transitions.push({
    name: "share.mount_failed",
    route,
    host,
    reason,
    duration_ms: Math.round(last.tookMs),
  });
  if (errand === null) return;
  setEpisode(draft, {
    errand: { ...errand, plan: errand.plan.slice(1), failures: [...errand.failures, `${host}: ${reason}`] },
  });
}

/** A mount that came up and ended at once has failed, or it would be tried again without a pause. */
function whyUseless(mount: MountSeen | null): string | null {
  if (mount === null) return "the mount vanished as soon as it was made";
  return mount.found.processGone ? "the mount's process ended as soon as it was mounted" : null;
}

function foldUnmounted(draft: Draft, last: UnmountStepSeen): void {
  const { errand } = draft.episode;
  const { step } = last;
  const from = step.mount.route ?? "unknown";
  const duration_ms = Math.round(last.tookMs);
  const failure = unmountFailure(draft, last);
  if (failure === null) {
    const files = errand?.cost ?? null;
    const forced = step.mode === "force";
    setEpisode(draft, { announcedBusy: false, announcedOpenFiles: null });
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
  const { busy, text } = failure;
  // A check that sees nothing while the system answers EBUSY repeats each cycle; it is told once.
  if (!busy || !draft.episode.announcedBusy) {
    draft.transitions.push({ name: "share.unmount_failed", from, reason: text, duration_ms, busy });
  }
  setEpisode(draft, { announcedBusy: busy });
  if (errand === null) return;
  if (errand.mode === "plain" && errand.asked && isByForce(draft)) {
    // What holds it is not to be seen (another user's, a look that hangs), or its server is gone. A person said to go on.
    setEpisode(draft, { errand: { ...errand, mode: "force" } });
    return;
  }
  if (!busy) {
    setEpisode(draft, { mountBackoff: backOff(draft.episode.mountBackoff, draft.seen.atMs) });
    // A recovery that could not begin leaves the share as it was: mounted, and well.
    if (errand.kind !== "recovery") setError(draft, `unmount failed: ${text}`);
  }
  stopErrand(draft, text, busy);
}

function isByForce({ request }: Draft): boolean {
  return (request?.kind === "unmount" || request?.kind === "switch") && request.force;
}

/** What is seen decides: a mount that is gone is unmounted although the step was late, and one still there is not. */
function unmountFailure(
  { seen }: Draft,
  { step, outcome }: UnmountStepSeen,
): { readonly busy: boolean; readonly text: string } | null {
  const isThere = seen.mount?.found.id === step.mount.id;
  if (outcome.ok) return isThere ? { busy: false, text: "it is still in the table of mounts" } : null;
  if (!isThere) return null;
  // Only a plain unmount may wait for open files; a forced one that is refused has failed.
  return { busy: outcome.reason === "busy" && step.mode === "plain", text: outcome.text };
}

/** Whether the last look says that what is mounted no longer answers. */
export function looksDead(draft: Draft): boolean {
  const { mount } = draft.seen;
  if (mount === null) return false;
  return mount.found.processGone || (mount.look.state === "answered" && isDeadErrno(mount.look.errno));
}

/** Routes to try for what was mounted over `route`: it, then the other; held to fallback, that first. */
export function routesFrom({ memory }: Draft, route: RouteName): RouteName[] {
  return route === "tb" && memory.held !== "fallback" ? ["tb", "fallback"] : ["fallback", "tb"];
}
