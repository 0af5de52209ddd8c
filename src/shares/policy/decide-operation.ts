// Operations of several steps: unmount where needed, then try the planned routes in order until one mounts.
import { backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import { oneMissingText } from "../../secrets/reference.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import { awaitsProof, canRelay, PROOF_AT_MOST_MS, proofObstacle, serverAt } from "./decide-eligibility.ts";
import { loginObstacle } from "./decide-login-conditions.ts";
import { continueMove, updateMoved } from "./decide-move.ts";
import {
  finishArrived,
  finishExhausted,
  finishFound,
  finishUnmounted,
  stopOperation,
} from "./decide-operation-end.ts";
import {
  answers,
  configuredAnswers,
  type DecisionBuilder,
  hostOf,
  recheckAt,
  setError,
  setState,
} from "./decision-builder.ts";
import { isDeadErrno } from "./mount-errno.ts";
import type { Operation, OperationKind } from "./reconcile-state.ts";
import type {
  MountObservation,
  MountStepObservation,
  OpenFilesObservation,
  UnmountStepObservation,
} from "./share-observation.ts";
import type { Step } from "./step.ts";

/**
 * Maximum age, ms, of an open-file check that is only used to report what an unmount cuts off. It is longer
 * than the deadline of such a check.
 */
const COUNT_FRESH_MS = 3000;

/** Pause before the next cycle of a mount that waits for a proof, ms. That cycle begins the proof. */
const RETRY_SOON_MS = 250;

type OperationStart = Pick<Operation, "kind" | "reason" | "mode" | "plan" | "moves"> & {
  readonly isRequested?: boolean;
  readonly target?: RouteName;
};

/** Starts an operation and returns its first step. If it cannot be started, records the error and returns null. */
export function startOperation(builder: DecisionBuilder, start: OperationStart): Step | null {
  const { mount } = builder.observed;
  const obstacle = startObstacle(builder, start);
  if (obstacle !== null) return setError(builder, obstacle);
  const operation: Operation = {
    isRequested: isAnswering(builder, start.kind),
    target: null,
    ...start,
    plan: start.plan.filter((route) => routesOf(builder.spec).includes(route)),
    startedAtMs: builder.observed.atMs,
    from: mount === null ? "none" : (mount.found.route ?? "unknown"),
    failures: [],
    mountId: mount?.found.id ?? null,
    isChecked: false,
    interrupted: null,
  };
  setState(builder, { operation });
  return continueOperation(builder);
}

/**
 * Returns why the share could not be mounted at its path; null if it could. While there is a reason, a working mount
 * is not replaced by a new one.
 */
export function mountObstacle(builder: DecisionBuilder): string | null {
  return pathObstacle(builder) ?? builder.observed.driverProblem?.text ?? null;
}

function pathObstacle({ spec, observed }: DecisionBuilder): string | null {
  if (spec.missingVariable !== null) return oneMissingText(spec.missingVariable);
  return observed.occupant === null ? null : `${spec.mountPath} is taken by ${observed.occupant.source}`;
}

function startObstacle(builder: DecisionBuilder, { kind, mode, moves }: OperationStart): string | null {
  if (kind === "unmount") return null;
  const { mount } = builder.observed;
  // A working mount is kept if a new mount could not log in. That check is skipped where the mount cannot
  // work: its process is gone, or a relayed mount fails over.
  const mayLogOn = mount === null || mount.found.processGone || (moves && kind === "failover");
  const refused = mayLogOn ? null : loginObstacle(builder);
  if (moves || refused !== null) return refused;
  // Unmounting a dead mount frees the programs that wait in it, even if the driver cannot mount now.
  const isDead = mode === "force" && kind !== "switch";
  return isDead ? pathObstacle(builder) : mountObstacle(builder);
}

/**
 * Whether the end of the operation also answers the waiting request. It does for the requests `mount` and `switch
 * auto`, for which the rules choose the operation.
 */
function isAnswering({ request, outcome }: DecisionBuilder, kind: OperationKind): boolean {
  if (request === null || outcome !== null) return false;
  if (request.kind === "mount") return kind !== "recovery";
  return request.kind === "switch" && request.to === "auto";
}

export function continueOperation(builder: DecisionBuilder): Step | null {
  const { operation } = builder.state;
  if (operation === null) return null;
  if (operation.moves) return continueMove(builder, operation);
  const { mount } = builder.observed;
  if (mount !== null && isForOperation(builder, operation, mount))
    return unmountFor(builder, operation, mount);
  if (operation.kind === "unmount") return finishUnmounted(builder, operation);
  // Once our mount is gone, the found mount may be another mount of the share, at another path. Such a mount stays.
  const isTwin = operation.mountId !== null && mount?.found.path !== builder.spec.mountPath;
  return mount === null || isTwin ? nextRoute(builder, operation) : finishFound(builder, operation, mount);
}

function isForOperation(
  { spec }: DecisionBuilder,
  operation: Operation,
  { found }: MountObservation,
): boolean {
  // A person's unmount applies to any mount of this share at the path.
  return found.id === operation.mountId || (operation.kind === "unmount" && found.path === spec.mountPath);
}

function unmountFor(builder: DecisionBuilder, operation: Operation, mount: MountObservation): Step | null {
  const stop = stopReason(builder, operation, mount);
  if (stop !== null) return stopOperation(builder, stop);
  const files = latestOpenFiles(builder);
  // Open files are counted before the unmount: afterwards the links in /proc no longer show their paths.
  if (operation.mode === "force" && files === null && !operation.isChecked) {
    setState(builder, { operation: { ...operation, isChecked: true } });
    return { kind: "check_open_files", mount: mount.found };
  }
  // A working mount is unmounted only after the server of the next route was proved.
  const next = operation.plan.find((route) => configuredAnswers(builder, route));
  if (operation.mode === "plain" && next !== undefined && waitsForProof(builder, operation, next))
    return null;
  setState(builder, { operation: { ...operation, interrupted: files } });
  return { kind: "unmount", mount: mount.found, mode: operation.mode };
}

/** Returns why a failover or remount is no longer needed; null if it is still needed. */
function stopReason(
  builder: DecisionBuilder,
  { kind, from, mode, plan }: Operation,
  { found, check, relayed = null, guarded = null }: MountObservation,
): string | null {
  if ((kind !== "failover" && kind !== "remount") || found.lost !== undefined) return null;
  if (!plan.some((route) => configuredAnswers(builder, route))) return "no other host answers";
  if (kind === "failover") {
    const isBack = (from === "tb" || from === "fallback") && answers(builder, from) && !plan.includes(from);
    return isBack ? "its own host answers again" : null;
  }
  // A check answered before the relay paused its connections is stale.
  const through = relayed ?? guarded;
  // Nor does one that the server denied to a login that was changed.
  const isPaused =
    through !== null && (through.phase !== "carrying" || builder.observed.login?.refusedAs === "other");
  const isAlive = !isPaused && !found.processGone && check.state === "answered" && !isDeadErrno(check.errno);
  return mode === "force" && isAlive ? "the mount answers again" : null;
}

function nextRoute(builder: DecisionBuilder, operation: Operation): Step | null {
  const failures = [...operation.failures];
  for (const [index, route] of operation.plan.entries()) {
    if (answers(builder, route)) {
      // The login over the other route has the same account, and would also be refused.
      const refused = loginObstacle(builder);
      if (refused !== null) {
        const all = failures.length === 0 ? [refused] : failures;
        return finishExhausted(builder, { ...operation, plan: [], failures: all });
      }
      setState(builder, { operation: { ...operation, plan: operation.plan.slice(index), failures } });
      // Without the proof, files that are kept for the server would be sent only after a remount.
      if (waitsForProof(builder, operation, route)) {
        const isOverdue = builder.observed.atMs - operation.startedAtMs >= PROOF_AT_MOST_MS;
        const why = isOverdue ? proofObstacle(builder, route) : null;
        if (why === null) return null;
        failures.push(why);
        continue;
      }
      const { reason } = operation;
      builder.transitions.push({ name: "share.mount_attempt", route, host: hostOf(builder, route), reason });
      const relayed = canRelay(builder, route) ? ({ relayed: true } as const) : {};
      return { kind: "mount", route, ...relayed, ...serverAt(builder, route) };
    }
    failures.push(`${hostOf(builder, route)}: ${builder.observed.routes[route].probe.text}`);
  }
  return finishExhausted(builder, { ...operation, plan: [], failures });
}

/** Whether the next step has to wait for a proof of the server; if so, plans the next look soon. */
function waitsForProof(builder: DecisionBuilder, { startedAtMs }: Operation, route: RouteName): boolean {
  const isRelayed = canRelay(builder, route);
  const isKnown =
    isRelayed &&
    (serverAt(builder, route).server !== undefined ||
      builder.observed.relayEligibility?.provesServers !== true);
  if (isKnown || !awaitsProof(builder, route, startedAtMs)) return false;
  recheckAt(builder, builder.observed.atMs + RETRY_SOON_MS);
  return true;
}

/**
 * Returns this cycle's check for open files; null if there was none, or if the share was mounted or unmounted after it.
 * A slow check is also returned: otherwise it would be repeated for ever.
 */
export function checkedOpenFiles({ observed }: DecisionBuilder): OpenFilesObservation | null {
  const { openFiles, lastStep, routes } = observed;
  if (openFiles === null || openFiles.atMs < Math.max(routes.tb.atMs, routes.fallback.atMs)) return null;
  const changed = lastStep?.kind === "mount" || lastStep?.kind === "unmount";
  return !changed || !lastStep.outcome.ok ? openFiles : null;
}

/**
 * The newest check of open files, to report what an unmount cuts off. It may be a little older than this cycle,
 * because it may have been made when the host was only suspected to be lost.
 */
function latestOpenFiles(builder: DecisionBuilder): OpenFilesObservation | null {
  const { openFiles, atMs } = builder.observed;
  const isFresh = openFiles !== null && atMs - openFiles.atMs <= COUNT_FRESH_MS;
  return isFresh ? openFiles : checkedOpenFiles(builder);
}

export function updateLastStep(builder: DecisionBuilder): void {
  const { lastStep } = builder.observed;
  if (lastStep === null) return;
  if (lastStep.kind === "mount") updateMounted(builder, lastStep);
  else if (lastStep.kind === "unmount") updateUnmounted(builder, lastStep);
  else if (lastStep.kind === "move") updateMoved(builder, lastStep);
}

function updateMounted(builder: DecisionBuilder, last: MountStepObservation): void {
  const { operation } = builder.state;
  const { mount } = builder.observed;
  const { route } = last.step;
  const text = last.outcome.ok ? whyUseless(mount) : last.outcome.text;
  if (text === null && mount !== null) {
    setState(builder, { mountedAtMs: builder.observed.atMs });
    if (operation === null) return;
    // A mount that was there already counts as this operation's success only if it is over the wanted route.
    if (last.outcome.ok && last.outcome.adopted && mount.found.route !== route)
      finishFound(builder, operation, mount);
    else finishArrived(builder, operation, route);
    return;
  }
  const host = hostOf(builder, route);
  const reason = text ?? "";
  const duration_ms = Math.round(last.tookMs);
  builder.transitions.push({ name: "share.mount_failed", route, host, reason, duration_ms });
  if (operation === null) return;
  const failures = [...operation.failures, `${host}: ${reason}`];
  setState(builder, { operation: { ...operation, plan: operation.plan.slice(1), failures } });
}

/**
 * Returns why a mount that succeeded counts as failed, so that it is not repeated without a pause: it ended at once.
 * null: the mount counts as a success.
 */
function whyUseless(mount: MountObservation | null): string | null {
  if (mount === null) return "the mount vanished as soon as it was made";
  return mount.found.processGone ? "the mount's process ended as soon as it was mounted" : null;
}

function updateUnmounted(builder: DecisionBuilder, last: UnmountStepObservation): void {
  const { operation } = builder.state;
  const { step } = last;
  const from = step.mount.route ?? "unknown";
  const duration_ms = Math.round(last.tookMs);
  const failure = unmountFailure(builder, last);
  if (failure === null) {
    const files = operation?.interrupted ?? null;
    const forced = step.mode === "force";
    const calm = {
      announcedBusy: false,
      announcedOpenFiles: null,
      stopRequested: false,
      stopBackoff: NO_BACKOFF,
    };
    setState(builder, calm);
    if (forced) setState(builder, { unsentWatched: true });
    builder.transitions.push({
      name: "share.unmounted",
      from,
      forced,
      reason: operation?.reason ?? builder.memory.lastError ?? "",
      duration_ms,
      open_files: files === null || files.state === "unknown" ? null : files.holders.length,
      unsent_files: files?.unsent.length ?? null,
    });
    return;
  }
  const { busy, text } = failure;
  // EBUSY without a visible open file recurs in each cycle, but is announced only once.
  if (!busy || !builder.state.announcedBusy) {
    builder.transitions.push({ name: "share.unmount_failed", from, reason: text, duration_ms, busy });
  }
  setState(builder, { announcedBusy: busy });
  if (builder.state.stopRequested) {
    const stopBackoff = backOff(builder.state.stopBackoff, builder.observed.atMs);
    setState(builder, { stopRequested: false, stopBackoff });
  }
  if (operation === null) return;
  const { request } = builder;
  const isByForce = (request?.kind === "unmount" || request?.kind === "switch") && request.force;
  if (operation.mode === "plain" && operation.isRequested && isByForce) {
    // A person asked for --force, and the plain unmount failed: the holder cannot be seen, or the server is gone.
    setState(builder, { operation: { ...operation, mode: "force" } });
    return;
  }
  if (!busy) {
    setState(builder, { mountBackoff: backOff(builder.state.mountBackoff, builder.observed.atMs) });
    // A recovery that could not unmount leaves the share mounted and working.
    if (operation.kind !== "recovery") setError(builder, `unmount failed: ${text}`);
  }
  stopOperation(builder, text, busy);
}

/** Why an unmount failed; null: it worked. The mount table decides, whatever the step reported. */
function unmountFailure(
  { observed }: DecisionBuilder,
  { step, outcome }: UnmountStepObservation,
): { readonly busy: boolean; readonly text: string } | null {
  const isThere = observed.mount?.found.id === step.mount.id;
  if (outcome.ok) return isThere ? { busy: false, text: "it is still in the mount table" } : null;
  if (!isThere) return null;
  // EBUSY in answer to a forced unmount is a failure, and no reason to wait for open files.
  return { busy: outcome.reason === "busy" && step.mode === "plain", text: outcome.text };
}

/** Whether the last look failed, or the mount's process is gone. */
export function seemsDead(builder: DecisionBuilder): boolean {
  const { mount } = builder.observed;
  if (mount === null) return false;
  return mount.found.processGone || (mount.check.state === "answered" && isDeadErrno(mount.check.errno));
}

/**
 * Routes to try for a remount, in this order: `route` first, but the fallback first if an override keeps the share on
 * the fallback.
 */
export function routesFrom({ memory }: DecisionBuilder, route: RouteName): RouteName[] {
  return route === "tb" && memory.override !== "fallback" ? ["tb", "fallback"] : ["fallback", "tb"];
}
