// Owns what a person asked: it is taken before the rules, held where the person said so, and always answered.
import { NO_BACKOFF } from "../../reconcile/route-health.ts";
import type { RouteName } from "../share-spec.ts";
import { canMove, mayMoveSoon } from "./decide-carry.ts";
import { checkedOpenFiles, looksDead, startErrand, whyNotMountable } from "./decide-errand.ts";
import { spokenRoute } from "./decide-errand-end.ts";
import { whyUnmountable } from "./decide-unmounted.ts";
import { answers, type Draft, hostOf, setEpisode, setHeld } from "./draft.ts";
import { outcome, type ShareRequest } from "./share-request.ts";
import type { MountSeen, OpenFilesSeen } from "./share-seen.ts";
import type { Step } from "./step.ts";

/** How often what a person waits for is looked at again, ms. */
const WAITING_LOOK_MS = 250;

type UnmountRequest = Extract<ShareRequest, { kind: "unmount" }>;
type SwitchRequest = Extract<ShareRequest, { kind: "switch" }>;

/** Returns the first step of what was asked, or null: then it is answered, waits, or the rules go on with it. */
export function takeRequest(draft: Draft): Step | null {
  const { request } = draft;
  switch (request?.kind) {
    case "mount":
      if (draft.memory.held === "unmounted") setHeld(draft, null);
      setEpisode(draft, { mountBackoff: NO_BACKOFF });
      return null;
    case "unmount":
      return takeUnmount(draft, request);
    case "switch":
      return request.to === "auto" ? takeAuto(draft) : takeSwitch(draft, request, request.to);
    case undefined:
      return null;
  }
}

function takeAuto(draft: Draft): null {
  setHeld(draft, null);
  setEpisode(draft, { mountBackoff: NO_BACKOFF });
  return null;
}

function takeUnmount(draft: Draft, request: UnmountRequest): Step | null {
  const { mount } = draft.seen;
  if (mount === null) {
    // What was to be mounted once its server is proved is not mounted after all.
    setEpisode(draft, { errand: null });
    if (request.hold) setHeld(draft, "unmounted");
    draft.outcome = outcome("skipped", "already unmounted");
    return null;
  }
  const mode = chooseMode(draft, mount, request, false);
  if (mode === null || typeof mode === "object") return mode;
  return startErrand(draft, { kind: "unmount", reason: "asked", mode, plan: [], goal: null, asked: true });
}

function takeSwitch(draft: Draft, request: SwitchRequest, to: RouteName): Step | null {
  const { mount } = draft.seen;
  if (mount?.found.route === to && !looksDead(draft)) {
    setHeld(draft, to === "fallback" ? "fallback" : null);
    draft.outcome = outcome("skipped", `already over ${spokenRoute(draft, to)}`);
    return null;
  }
  if (!answers(draft, to)) {
    const { text } = draft.seen.routes[to].probe;
    draft.outcome = outcome("failed", `${hostOf(draft, to)} does not answer: ${text}; nothing was changed`);
    return null;
  }
  const asked = { kind: "switch", reason: "asked", goal: to, asked: true } as const;
  if (canMove(draft, to)) {
    return startErrand(draft, { ...asked, mode: "plain", plan: [to], moves: true });
  }
  if (mayMoveSoon(draft, to) && draft.seen.atMs < request.waitUntilMs) return null;
  const obstacle = whyNotMountable(draft);
  if (obstacle !== null) {
    const hint = draft.seen.driverProblem?.hint ?? null;
    draft.outcome = outcome("failed", `${obstacle}; nothing was changed`, { hint });
    return null;
  }
  const from = mount?.found.route ?? null;
  const rollback = from !== null && from !== to ? [from] : [];
  const start = { ...asked, plan: [to, ...rollback] } as const;
  if (mount === null) return startErrand(draft, { ...start, mode: "plain" });
  const mode = chooseMode(draft, mount, request, request.wait);
  if (mode === null || typeof mode === "object") return mode;
  return startErrand(draft, { ...start, mode });
}

/** How to unmount for a person; a step when open files must be looked up first; null: waiting or answered "busy". */
function chooseMode(
  draft: Draft,
  mount: MountSeen,
  request: UnmountRequest | SwitchRequest,
  waitForClose: boolean,
): "plain" | "force" | Step | null {
  const files = checkedOpenFiles(draft);
  if (files === null) return { kind: "check_open_files", mount: mount.found };
  const dead = isCutOff(draft, mount);
  const occupied = files.holders.length > 0 || files.unsent.length > 0;
  if (request.force) return dead || occupied || files.state === "unknown" ? "force" : "plain";
  if (!dead && files.holders.length > 0)
    return waitOrBusy(draft, files, waitForClose ? request.waitUntilMs : 0, "open");
  if (files.unsent.length > 0) return waitOrBusy(draft, files, request.waitUntilMs, "unsent");
  return dead ? "force" : "plain";
}

/** Nothing on the mount answers, so a plain unmount would hang, and what is open is cut off already. */
function isCutOff(draft: Draft, { found, look }: MountSeen): boolean {
  if (looksDead(draft)) return true;
  if (found.route !== null && answers(draft, found.route)) return false;
  return (
    look.state === "pending" &&
    (found.route === null || draft.seen.routes[found.route].probe.verdict === "gone")
  );
}

function waitOrBusy(draft: Draft, files: OpenFilesSeen, untilMs: number, what: "open" | "unsent"): null {
  if (draft.seen.atMs < untilMs) {
    draft.wakes.push({ atMs: draft.seen.atMs + WAITING_LOOK_MS, reason: "user" });
    return null;
  }
  const detail =
    what === "unsent"
      ? `busy: ${files.unsent.length} files unsent`
      : `busy: ${files.holders.length} files open by ${new Set(files.holders.map(({ pid }) => pid)).size} processes`;
  draft.outcome = outcome("busy", detail, {
    hint:
      what === "unsent"
        ? "Try again when they are on the server, or --force."
        : "Close them, or --force cuts them off.",
    holders: files.holders,
    unsent: files.unsent,
  });
  return null;
}

/** The rules rest: tells the person how things stand, unless the rules or the request still wait for something. */
export function answerRequest(draft: Draft): void {
  const { request, memory, seen } = draft;
  if (request === null || draft.outcome !== null || draft.episode.errand !== null) return;
  if (request.kind === "unmount" || (request.kind === "switch" && request.to !== "auto")) return;
  if (isUndecided(draft) && seen.atMs < request.waitUntilMs) return;
  const route = seen.mount?.found.route ?? null;
  if (seen.mount !== null && memory.lastError === null) {
    const where = route === null ? `from ${seen.mount.found.source}` : `over ${spokenRoute(draft, route)}`;
    const pending = request.kind === "switch" && memory.tbRecoveryPending;
    draft.outcome = pending
      ? outcome("pending", `mounted ${where}; Thunderbolt is ready`)
      : outcome("skipped", `mounted ${where}`);
    return;
  }
  // What an earlier try came to is no answer where nothing could be tried now.
  const why = whyUnmountable(draft) ?? memory.lastError ?? "it could not be mounted";
  draft.outcome = outcome("failed", why, { hint: seen.driverProblem?.hint ?? null });
}

function isUndecided(draft: Draft): boolean {
  return draft.wakes.some(({ reason }) => reason === "confirm");
}
