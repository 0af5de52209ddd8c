// A person's request: it comes before the rules, may hold the share to a state, and is always answered.
import { NO_BACKOFF } from "../../reconcile/route-health.ts";
import { pluralize, shellCommand } from "../../runtime/text/plain-text.ts";
import type { UnmountMode } from "../drivers/mount-driver.ts";
import type { MountReport } from "../drivers/moving-mounts.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import type { DecideInput } from "./decide-input.ts";
import { answers, earlierAddress, hostOf } from "./hosts.ts";
import { isDeadErrno } from "./mount-errno.ts";
import { canMove } from "./moving-mount.ts";
import { programsWait } from "./open-files.ts";
import { checkedOpenFiles, mountObstacle } from "./operation.ts";
import { ROUTE_TEXT, routeText } from "./operation-end.ts";
import { type Answer, recheck } from "./rule.ts";
import { isChecking, targetObstacle } from "./server-check.ts";
import type { MountObservation, OpenFilesObservation } from "./share-observation.ts";
import { outcome, type RequestOutcome, type ShareRequest } from "./share-request.ts";
import type { Situation } from "./situation.ts";
import { isWaking, wakeObstacle } from "./wake.ts";

/** Interval of checks while a person waits, ms. */
const WAITING_CHECK_MS = 250;
/** How long a host may be silent before a person's switch to it is refused, ms. */
const SILENT_GOAL_MS = 3_000;

type UnmountRequest = Extract<ShareRequest, { kind: "unmount" }>;
type SwitchRequest = Extract<ShareRequest, { kind: "switch" }>;

function answered(...parts: Parameters<typeof outcome>): Answer {
  return { outcome: outcome(...parts) };
}

/** The first step for the request; without one, the request is answered, must wait, or is left to the rules. */
export function answerTo(input: DecideInput, request: ShareRequest): Answer {
  const learned = { mountBackoff: NO_BACKOFF };
  switch (request.kind) {
    case "mount":
      if (input.observed.mount?.moving) return takeMountOfMoving(input, request, input.observed.mount.moving);
      return input.memory.override === "unmounted" ? { override: null, learned } : { learned };
    case "unmount":
      return takeUnmount(input, request);
    case "switch":
      return request.to === "auto" ? { override: null, learned } : takeSwitch(input, request, request.to);
    case "wake":
      return {};
  }
}

/** A person's try: of a login that was refused, or with a server that is not the recorded one. */
function takeMountOfMoving(
  { observed: { lastStep } }: DecideInput,
  { newServer = false }: Extract<ShareRequest, { kind: "mount" }>,
  { phase, other, openFiles }: MountReport,
): Answer {
  const learned = { mountBackoff: NO_BACKOFF };
  const isTried = lastStep?.kind === "log_in" || lastStep?.kind === "let_in";
  if (isTried) return { learned };
  if (newServer && other !== null) {
    if (openFiles === 0) return { learned, step: { kind: "let_in", guid: other.guid } };
    const hint = "Close them, or cut them off: `mountaineer unmount --force`, then the same command again.";
    return answered("busy", `${pluralize(openFiles, "file")} of the server before are open`, { hint });
  }
  return phase.is === "refused" ? { learned, step: { kind: "log_in" } } : { learned };
}

function takeUnmount(input: DecideInput, request: UnmountRequest): Answer {
  const { mount } = input.observed;
  if (mount === null)
    return {
      ...(request.keepUnmounted ? { override: "unmounted" } : {}),
      ...answered("skipped", "already unmounted"),
    };
  return unmountFirst(input, mount, request, (mode) => ({
    ...{ kind: "unmount", reason: "asked", mode, plan: [], isRequested: true },
  }));
}

function takeSwitch(input: DecideInput, request: SwitchRequest, to: RouteName): Answer {
  const { spec, observed } = input;
  const { mount } = observed;
  if (!routesOf(spec).includes(to)) {
    const key = to === "tb" ? "thunderbolt_host" : "fallback_host";
    const name = /^[\w-]+$/.test(spec.name) ? spec.name : JSON.stringify(spec.name);
    const hint = `Give it one: ${shellCommand`mountaineer config set ${`shares.${name}.${key}`} ADDRESS`}`;
    return answered("failed", `${spec.name} has no ${ROUTE_TEXT[to]} route; nothing was changed`, { hint });
  }
  if (mount?.found.route === to && !seemsDead(mount))
    return {
      override: to === "fallback" ? "fallback" : null,
      ...answered("skipped", alreadyOver(input, to)),
    };
  if (!answers(input, to)) return answerSilence(input, request, to);
  const start = { kind: "switch", reason: "asked", target: to, isRequested: true } as const;
  if (canMove(input)) return { start: { ...start, mode: "plain", plan: [to], moves: true } };
  const target = mount === null || request.force ? null : targetObstacle(input, to);
  if (target !== null)
    return isChecking(input) && observed.atMs < request.waitUntilMs
      ? target
      : answered("failed", `${target.why}; nothing was changed`, { hint: "--force switches all the same." });
  const obstacle = mountObstacle(input);
  if (obstacle !== null) {
    const hint = observed.driverProblem?.hint ?? null;
    return answered("failed", `${obstacle}; nothing was changed`, { hint });
  }
  const from = mount?.found.route ?? null;
  const plan = from !== null && from !== to ? [to, from] : [to];
  if (mount === null) return { start: { ...start, mode: "plain", plan } };
  return unmountFirst(input, mount, request, (mode) => ({ ...start, mode, plan }));
}

function alreadyOver(input: DecideInput, to: RouteName): string {
  const address = earlierAddress(input.observed);
  return `already over ${address === null ? routeText(input, to) : `${ROUTE_TEXT[to]} (its earlier address ${address})`}`;
}

/** Whether a silent host is probed again: the server may be busy, or its link may have just become active. */
function answerSilence(input: DecideInput, request: SwitchRequest, to: RouteName): Answer {
  const { observed, state } = input;
  const { atMs } = observed;
  if (isWaking(input)) return {};
  const { text, verdict } = observed.routes[to].probe;
  const { silentTarget } = state;
  const sinceMs = silentTarget?.request === request ? silentTarget.sinceMs : atMs;
  if (verdict === "silent" && atMs - sinceMs < SILENT_GOAL_MS)
    return { learned: { silentTarget: { request, sinceMs } }, ...recheck(atMs + WAITING_CHECK_MS, "user") };
  return answered("failed", `${hostOf(input, to)} does not answer: ${text}; nothing was changed`);
}

/**
 * Starts an operation that unmounts first. Before that, looks up open files, and waits or answers if there are any.
 */
function unmountFirst(
  input: DecideInput,
  mount: MountObservation,
  request: UnmountRequest | SwitchRequest,
  operation: (mode: UnmountMode) => Answer["start"] & object,
): Answer {
  const files = checkedOpenFiles(input);
  if (files === null) return { step: { kind: "check_open_files", mount: mount.found } };
  const { holders, state } = files;
  const dead = isCutOff(input, mount);
  if (request.force) {
    const isForced = dead || holders.length > 0 || state === "unknown";
    return { start: operation(isForced ? "force" : "plain") };
  }
  if (!dead && holders.length > 0) {
    const waits = request.kind === "switch" && request.wait;
    return waitOrBusy(input, files, waits ? request.waitUntilMs : 0);
  }
  if (dead) return { start: operation("force") };
  return programsWait(input, true) ?? { start: operation("plain"), stopPrograms: true };
}

/** Whether the last check failed, or the mount's process is gone. */
function seemsDead({ found, check }: MountObservation): boolean {
  return found.processGone || (check.state === "answered" && isDeadErrno(check.errno));
}

/** Whether the mount can no longer answer: a plain unmount would hang, and open files are lost anyway. */
function isCutOff({ observed }: DecideInput, mount: MountObservation): boolean {
  const { route } = mount.found;
  const isGone = route === null || observed.routes[route].probe.verdict === "gone";
  return seemsDead(mount) || (mount.check.state === "pending" && isGone);
}

function waitOrBusy(
  { observed: { atMs } }: DecideInput,
  { holders }: OpenFilesObservation,
  untilMs: number,
): Answer {
  if (atMs < untilMs) return recheck(atMs + WAITING_CHECK_MS, "user");
  const programs = pluralize(new Set(holders.map(({ pid }) => pid)).size, "program");
  const hint = "Close them, or --force cuts them off.";
  const detail = `busy: ${pluralize(holders.length, "file")} open in ${programs}`;
  return answered("busy", detail, { hint, holders });
}

/**
 * The answer to a request for which no step is left: the share's state. null: there is no such request, the NAS is being
 * woken, or a decision waits for its confirmation and the request still has time.
 */
export function finalOutcome(now: Situation): RequestOutcome | null {
  const { request, memory, observed, state, nextRuns } = now;
  if (request === null || state.operation !== null) return null;
  if (request.kind === "unmount" || (request.kind === "switch" && request.to !== "auto")) return null;
  const isUndecided = nextRuns.some(({ reason }) => reason === "confirm");
  if (isWaking(now) || (isUndecided && observed.atMs < request.waitUntilMs)) return null;
  if (request.kind === "wake") {
    const why = wakeObstacle(now);
    const isAwake = why?.startsWith("it is awake") === true;
    return outcome(isAwake ? "skipped" : "failed", why ?? "it did not wake");
  }
  const { mount } = observed;
  if (mount !== null && memory.lastError === null) {
    const { route, source } = mount.found;
    const where = route === null ? `from ${source}` : `over ${routeText(now, route)}`;
    if (request.kind !== "switch") return outcome("skipped", `mounted ${where}`);
    return memory.tbRecoveryPending
      ? outcome("pending", `mounted ${where}; the preferred route is ready`)
      : outcome("switched", `switched to automatic, mounted ${where}`);
  }
  // A present obstacle explains the failure better than the error of an earlier attempt.
  const obstacle = mount === null ? mountObstacle(now) : null;
  const why = obstacle ?? memory.lastError ?? "it could not be mounted";
  return outcome("failed", why, { hint: observed.driverProblem?.hint ?? null });
}
