// Operations of several steps: unmount where needed, then try the planned routes in order until one mounts.
import { oneMissingText } from "../../secrets/reference.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import type { DecideInput } from "./decide-input.ts";
import { answers, hostOf, isSlow } from "./hosts.ts";
import { loginObstacle } from "./login.ts";
import { isDeadErrno } from "./mount-errno.ts";
import { finishExhausted, finishFound, finishUnmounted, stopOperation } from "./operation-end.ts";
import { continueMove } from "./operation-move.ts";
import type { Operation, OperationKind } from "./reconcile-state.ts";
import type { MountObservation, OpenFilesObservation } from "./share-observation.ts";
import { announce, type Situation, setState } from "./situation.ts";

/**
 * Maximum age, ms, of an open-file check that is only used to report what an unmount cuts off. It is longer
 * than the deadline of such a check.
 */
const COUNT_FRESH_MS = 3000;

export type OperationStart = Pick<Operation, "kind" | "reason" | "mode" | "plan" | "moves"> & {
  readonly isRequested?: boolean;
  readonly target?: RouteName;
};

/** Starts an operation and takes its first step. */
export function startOperation(now: Situation, start: OperationStart): Situation {
  const { mount, atMs } = now.observed;
  const operation: Operation = {
    isRequested: isAnswering(now, start.kind),
    target: null,
    ...start,
    plan: start.plan.filter((route) => routesOf(now.spec).includes(route)),
    startedAtMs: atMs,
    from: mount === null ? "none" : (mount.found.route ?? "unknown"),
    failures: [],
    mountId: mount?.found.id ?? null,
    isChecked: false,
    interrupted: null,
  };
  return continueOperation(setState(now, { operation }));
}

/**
 * Returns why the share could not be mounted at its path; null if it could. While there is a reason, a working mount
 * is not replaced by a new one.
 */
export function mountObstacle(input: DecideInput): string | null {
  return pathObstacle(input) ?? input.observed.driverProblem?.text ?? null;
}

function pathObstacle({ spec, observed }: DecideInput): string | null {
  if (spec.missingVariable !== null) return oneMissingText(spec.missingVariable);
  return observed.occupant === null ? null : `${spec.mountPath} is taken by ${observed.occupant.source}`;
}

/** Why the operation cannot be started; null: it can. */
export function startObstacle(input: DecideInput, { kind, mode, moves }: OperationStart): string | null {
  if (kind === "unmount") return null;
  const { mount } = input.observed;
  if (moves) return null;
  // A working mount is kept if a new mount could not log in.
  const refused = mount === null || mount.found.processGone ? null : loginObstacle(input);
  if (refused !== null) return refused;
  // Unmounting a dead mount frees the programs that wait in it, even if the driver cannot mount now.
  const isDead = mode === "force" && kind !== "switch";
  return isDead ? pathObstacle(input) : mountObstacle(input);
}

/**
 * Whether the end of the operation also answers the waiting request. It does for the requests `mount` and `switch
 * auto`, for which the rules choose the operation.
 */
function isAnswering({ request, outcome }: Situation, kind: OperationKind): boolean {
  if (request === null || outcome !== null) return false;
  if (request.kind === "mount") return kind !== "recovery";
  return request.kind === "switch" && request.to === "auto";
}

/** Takes the next step of the operation in progress, or ends it. */
export function continueOperation(now: Situation): Situation {
  const { operation } = now.state;
  if (operation === null) return now;
  if (operation.moves) return continueMove(now, operation);
  const { mount } = now.observed;
  if (mount !== null && isForOperation(now, operation, mount)) return unmountFor(now, operation, mount);
  if (operation.kind === "unmount") return finishUnmounted(now, operation);
  // Once our mount is gone, the found mount may be another mount of the share, at another path. Such a mount stays.
  const isTwin = operation.mountId !== null && mount?.found.path !== now.spec.mountPath;
  return mount === null || isTwin ? nextRoute(now, operation) : finishFound(now, operation, mount);
}

function isForOperation({ spec }: DecideInput, operation: Operation, { found }: MountObservation): boolean {
  // A person's unmount applies to any mount of this share at the path.
  return found.id === operation.mountId || (operation.kind === "unmount" && found.path === spec.mountPath);
}

function unmountFor(now: Situation, operation: Operation, mount: MountObservation): Situation {
  const stop = stopReason(now, operation, mount);
  if (stop !== null) return stopOperation(now, operation, stop);
  const files = latestOpenFiles(now);
  // Open files are counted before the unmount: afterwards the links in /proc no longer show their paths.
  if (operation.mode === "force" && files === null && !operation.isChecked) {
    const checking = setState(now, { operation: { ...operation, isChecked: true } });
    return { ...checking, step: { kind: "check_open_files", mount: mount.found } };
  }
  const unmounting = setState(now, { operation: { ...operation, interrupted: files } });
  return { ...unmounting, step: { kind: "unmount", mount: mount.found, mode: operation.mode } };
}

/** Returns why a failover or remount is no longer needed; null if it is still needed. */
function stopReason(
  input: DecideInput,
  { kind, from, mode, plan }: Operation,
  { found, check }: MountObservation,
): string | null {
  if ((kind !== "failover" && kind !== "remount") || found.lost !== undefined) return null;
  if (!plan.some((route) => answers(input, route))) return "no other host answers";
  if (kind === "failover") {
    const isBack = (from === "tb" || from === "fallback") && answers(input, from) && !plan.includes(from);
    return isBack ? "its own host answers again" : null;
  }
  const isAlive = !found.processGone && check.state === "answered" && !isDeadErrno(check.errno);
  return mode === "force" && isAlive ? "the mount answers again" : null;
}

function nextRoute(now: Situation, operation: Operation): Situation {
  let { failures } = operation;
  const mountable = operation.plan.some((route) => answers(now, route)) ? answers : isSlow;
  for (const [index, route] of operation.plan.entries()) {
    if (mountable(now, route)) {
      const rest = { ...operation, plan: operation.plan.slice(index), failures };
      return mountOver(setState(now, { operation: rest }), operation, route);
    }
    failures = [...failures, `${hostOf(now, route)}: ${now.observed.routes[route].probe.text}`];
  }
  return finishExhausted(now, operation, failures);
}

function mountOver(now: Situation, { reason }: Operation, route: RouteName): Situation {
  const trying = announce(now, { name: "share.mount_attempt", route, host: hostOf(now, route), reason });
  const moves = now.moves === true ? ({ moves: true } as const) : {};
  const { request } = now;
  const logsIn = request?.kind === "mount" || request?.kind === "switch";
  const personal = {
    ...(logsIn ? ({ logInNow: true } as const) : {}),
    ...(now.state.hasNewLogin ? ({ newPassword: true } as const) : {}),
    ...(request?.kind === "mount" && request.newServer === true ? ({ newServer: true } as const) : {}),
  };
  return {
    ...trying,
    step: { kind: "mount", route, ...moves, ...personal },
  };
}

/**
 * Returns this cycle's check for open files; null if there was none, or if the share was mounted or unmounted after it.
 * A slow check is also returned: otherwise it would be repeated for ever.
 */
export function checkedOpenFiles({ observed }: DecideInput): OpenFilesObservation | null {
  const { openFiles, lastStep, routes } = observed;
  if (openFiles === null || openFiles.atMs < Math.max(routes.tb.atMs, routes.fallback.atMs)) return null;
  const changed = lastStep?.kind === "mount" || lastStep?.kind === "unmount";
  return !changed || !lastStep.outcome.ok ? openFiles : null;
}

/**
 * The newest check of open files, to report what an unmount cuts off. It may be a little older than this cycle,
 * because it may have been made when the host was only suspected to be lost.
 */
function latestOpenFiles(input: DecideInput): OpenFilesObservation | null {
  const { openFiles, atMs } = input.observed;
  const isFresh = openFiles !== null && atMs - openFiles.atMs <= COUNT_FRESH_MS;
  return isFresh ? openFiles : checkedOpenFiles(input);
}
