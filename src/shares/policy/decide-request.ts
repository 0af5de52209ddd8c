// A person's request: it comes before the rules, may hold the share to a state, and is always answered.
import { NO_BACKOFF } from "../../reconcile/route-health.ts";
import { pluralize, shellCommand } from "../../runtime/text/plain-text.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import { canMove, mayMoveAfterProof } from "./decide-eligibility.ts";
import { checkedOpenFiles, mountObstacle, seemsDead, startOperation } from "./decide-operation.ts";
import { ROUTE_TEXT, routeText } from "./decide-operation-end.ts";
import { isWaking, wakeObstacle } from "./decide-wake.ts";
import {
  answer,
  answers,
  areProgramsStopped,
  type DecisionBuilder,
  hostOf,
  recheckAt,
  setOverride,
  setState,
} from "./decision-builder.ts";
import type { MountObservation, OpenFilesObservation } from "./share-observation.ts";
import type { ShareRequest } from "./share-request.ts";
import type { Step } from "./step.ts";

/** Interval of looks while a person waits, ms. */
const WAITING_CHECK_MS = 250;
/** How long a host may be silent before a person's switch to it is refused, ms. */
const SILENT_GOAL_MS = 3_000;

type UnmountRequest = Extract<ShareRequest, { kind: "unmount" }>;
type SwitchRequest = Extract<ShareRequest, { kind: "switch" }>;

/** Returns the first step for the request; null if the request is answered, must wait, or is left to the rules. */
export function takeRequest(builder: DecisionBuilder): Step | null {
  const { request } = builder;
  switch (request?.kind) {
    case "mount":
      if (builder.memory.override === "unmounted") setOverride(builder, null);
      setState(builder, { mountBackoff: NO_BACKOFF });
      return null;
    case "unmount":
      return takeUnmount(builder, request);
    case "switch":
      if (request.to !== "auto") return takeSwitch(builder, request, request.to);
      setOverride(builder, null);
      setState(builder, { mountBackoff: NO_BACKOFF });
      return null;
    case "wake":
    case undefined:
      return null;
  }
}

function takeUnmount(builder: DecisionBuilder, request: UnmountRequest): Step | null {
  const { mount } = builder.observed;
  if (mount === null) {
    // Cancels a mount that waits for the proof of its server.
    setState(builder, { operation: null });
    if (request.keepUnmounted) setOverride(builder, "unmounted");
    return answer(builder, "skipped", "already unmounted");
  }
  const mode = chooseMode(builder, mount, request, false);
  if (mode === null || typeof mode === "object") return mode;
  return startOperation(builder, { kind: "unmount", reason: "asked", mode, plan: [], isRequested: true });
}

function takeSwitch(builder: DecisionBuilder, request: SwitchRequest, to: RouteName): Step | null {
  const { mount } = builder.observed;
  const { spec } = builder;
  if (!routesOf(spec).includes(to)) {
    const key = to === "tb" ? "thunderbolt_host" : "fallback_host";
    const name = /^[\w-]+$/.test(spec.name) ? spec.name : JSON.stringify(spec.name);
    const hint = `Give it one: ${shellCommand`mountaineer config set ${`shares.${name}.${key}`} ADDRESS`}`;
    return answer(builder, "failed", `${spec.name} has no ${ROUTE_TEXT[to]} route; nothing was changed`, {
      hint,
    });
  }
  if (mount?.found.route === to && !seemsDead(builder)) {
    setOverride(builder, to === "fallback" ? "fallback" : null);
    return answer(builder, "skipped", `already over ${routeText(builder, to)}`);
  }
  if (!answers(builder, to)) {
    const { text, verdict } = builder.observed.routes[to].probe;
    if (isWaking(builder) || (verdict === "silent" && isProbedAgain(builder, request))) return null;
    return answer(builder, "failed", `${hostOf(builder, to)} does not answer: ${text}; nothing was changed`);
  }
  const requested = { kind: "switch", reason: "asked", target: to, isRequested: true } as const;
  if (canMove(builder, to)) {
    return startOperation(builder, { ...requested, mode: "plain", plan: [to], moves: true });
  }
  if (mayMoveAfterProof(builder, to) && builder.observed.atMs < request.waitUntilMs) return null;
  const obstacle = mountObstacle(builder);
  if (obstacle !== null) {
    const hint = builder.observed.driverProblem?.hint ?? null;
    return answer(builder, "failed", `${obstacle}; nothing was changed`, { hint });
  }
  const from = mount?.found.route ?? null;
  const rollback = from !== null && from !== to ? [from] : [];
  const start = { ...requested, plan: [to, ...rollback] } as const;
  if (mount === null) return startOperation(builder, { ...start, mode: "plain" });
  const mode = chooseMode(builder, mount, request, request.wait);
  if (mode === null || typeof mode === "object") return mode;
  return startOperation(builder, { ...start, mode });
}

/** Whether a silent host is probed again: the server may be busy, or its link may have just become active. */
function isProbedAgain(builder: DecisionBuilder, request: SwitchRequest): boolean {
  const { atMs } = builder.observed;
  const { silentTarget } = builder.state;
  const sinceMs = silentTarget?.request === request ? silentTarget.sinceMs : atMs;
  if (atMs - sinceMs >= SILENT_GOAL_MS) return false;
  setState(builder, { silentTarget: { request, sinceMs } });
  recheckAt(builder, atMs + WAITING_CHECK_MS, "user");
  return true;
}

/**
 * Returns how to unmount for a person's request, or a step that looks up open files if that must happen first.
 * Returns null if the request waits or is answered.
 */
function chooseMode(
  builder: DecisionBuilder,
  mount: MountObservation,
  request: UnmountRequest | SwitchRequest,
  waitForClose: boolean,
): "plain" | "force" | Step | null {
  const files = checkedOpenFiles(builder);
  if (files === null) return { kind: "check_open_files", mount: mount.found };
  const dead = isCutOff(builder, mount);
  const occupied = files.holders.length > 0 || files.unsent.length > 0;
  if (request.force) return dead || occupied || files.state === "unknown" ? "force" : "plain";
  if (!dead && files.holders.length > 0)
    return waitOrBusy(builder, files, waitForClose ? request.waitUntilMs : 0, "open");
  if (files.unsent.length > 0) return waitOrBusy(builder, files, request.waitUntilMs, "unsent");
  if (!dead && !areProgramsStopped(builder, true)) return null;
  return dead ? "force" : "plain";
}

/** Whether the mount can no longer answer: a plain unmount would hang, and open files are lost anyway. */
function isCutOff(builder: DecisionBuilder, { found, check }: MountObservation): boolean {
  if (seemsDead(builder)) return true;
  return (
    check.state === "pending" &&
    (found.route === null || builder.observed.routes[found.route].probe.verdict === "gone")
  );
}

function waitOrBusy(
  builder: DecisionBuilder,
  files: OpenFilesObservation,
  untilMs: number,
  what: "open" | "unsent",
): null {
  const { atMs } = builder.observed;
  if (atMs < untilMs) return recheckAt(builder, atMs + WAITING_CHECK_MS, "user");
  const { holders, unsent } = files;
  if (what === "unsent") {
    const hint = "Try again when they are on the server, or --force.";
    return answer(builder, "busy", `busy: ${pluralize(unsent.length, "file")} unsent`, {
      hint,
      holders,
      unsent,
    });
  }
  const programs = pluralize(new Set(holders.map(({ pid }) => pid)).size, "program");
  const hint = "Close them, or --force cuts them off.";
  const detail = `busy: ${pluralize(holders.length, "file")} open in ${programs}`;
  return answer(builder, "busy", detail, { hint, holders, unsent });
}

/**
 * Answers the person's request with the share's state if there is no step to take. Does nothing while the NAS is
 * being woken, or while a decision waits for its confirmation and the request still has time.
 */
export function answerRequest(builder: DecisionBuilder): void {
  const { request, memory, observed } = builder;
  if (request === null || builder.outcome !== null || builder.state.operation !== null) return;
  if (request.kind === "unmount" || (request.kind === "switch" && request.to !== "auto")) return;
  const isUndecided = builder.nextRuns.some(({ reason }) => reason === "confirm");
  if (isWaking(builder) || (isUndecided && observed.atMs < request.waitUntilMs)) return;
  if (request.kind === "wake") {
    const why = wakeObstacle(builder);
    const isAwake = why?.startsWith("it is awake") === true;
    answer(builder, isAwake ? "skipped" : "failed", why ?? "it did not wake");
    return;
  }
  const route = observed.mount?.found.route ?? null;
  if (observed.mount !== null && memory.lastError === null) {
    const where =
      route === null ? `from ${observed.mount.found.source}` : `over ${routeText(builder, route)}`;
    const pending = request.kind === "switch" && memory.tbRecoveryPending;
    if (pending) answer(builder, "pending", `mounted ${where}; Thunderbolt is ready`);
    else answer(builder, "skipped", `mounted ${where}`);
    return;
  }
  // A present obstacle explains the failure better than the error of an earlier attempt.
  const obstacle = observed.mount === null ? mountObstacle(builder) : null;
  const why = obstacle ?? memory.lastError ?? "it could not be mounted";
  answer(builder, "failed", why, { hint: observed.driverProblem?.hint ?? null });
}
