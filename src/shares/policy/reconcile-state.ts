// The reconcile state of a share: what its loop remembers from one cycle to the next and may forget at a restart, such as
// suspected losses, the operation in progress, pauses after failures. `ShareMemory` survives restarts.
import {
  type Backoff,
  NO_BACKOFF,
  type RouteHealth,
  type SuspectedLoss,
  UNKNOWN_HEALTH,
} from "../../reconcile/route-health.ts";
import type { UnmountMode } from "../drivers/mount-driver.ts";
import { ROUTE_NAMES, type RouteName, type RouteSpec, type ShareSpec } from "../share-spec.ts";
import type { OpenFilesObservation } from "./share-observation.ts";
import type { ShareRequest } from "./share-request.ts";

export type OperationKind = "mount" | "failover" | "recovery" | "switch" | "remount" | "unmount";

/**
 * A goal of several steps. A step that fails does not end it: the next step follows from the next observation
 * and the plan.
 */
export interface Operation {
  readonly kind: OperationKind;
  readonly reason: string;
  readonly startedAtMs: number;
  readonly from: RouteName | "none" | "unknown";
  readonly mode: UnmountMode;
  /** Routes still to try, in order, once nothing is mounted. */
  readonly plan: readonly RouteName[];
  /** The route that this operation wants; a mount over another one counts as a partial failure. null: any. */
  readonly target: RouteName | null;
  readonly failures: readonly string[];
  /** The only mount that this operation may unmount; null: none was mounted when it began. */
  readonly mountId: string | null;
  /** Whether open files were looked up before the unmount, even if the result came too late. */
  readonly isChecked: boolean;
  /** Files that were open when the operation's unmount began. */
  readonly interrupted: OpenFilesObservation | null;
  /** Whether the end of this operation answers a person's request. */
  readonly isRequested: boolean;
  /** Set if the operation moves the mount to another route, and unmounts nothing. */
  readonly moves?: true;
}

export interface ReconcileState {
  readonly health: Readonly<Record<RouteName, RouteHealth>>;
  /** The last announced verdict of each route; `atMs`: the time of its probe, monotonic ms. */
  readonly announced: Readonly<Record<RouteName, { readonly up: boolean; readonly atMs: number } | null>>;
  /** A loss of the host in use that a second probe or check has not confirmed yet. */
  readonly suspectedLoss: SuspectedLoss | null;
  /** The first failed mount check; after a second one the mount is treated as dead. null: none. */
  readonly firstFailedCheck: { readonly startedAtMs: number } | null;
  /**
   * An unanswered check, and when the missing answer was first noticed, monotonic ms. Lateness is measured from then,
   * because after a standstill of this process a check only seems late.
   */
  readonly pendingCheck: { readonly startedAtMs: number; readonly noticedAtMs: number } | null;
  readonly operation: Operation | null;
  /** The mount that moves, and how often it had moved when it was observed last; null: it was not observed yet. */
  readonly observedMoves: { readonly mountId: string; readonly count: number } | null;
  /** The login has changed since the last mount was tried. */
  readonly hasNewLogin: boolean;
  /** Why the server refused the login at the last mount; null: it did not. */
  readonly loginRefused: string | null;
  /** What differs, if another server than the recorded one answered the last mount; null: none did. */
  readonly otherServer: string | null;
  /**
   * `mountedAtMs`: when the newest mount was made, monotonic ms. `shortLived`: the id of the last mount that counted
   * as short-lived.
   */
  readonly mountedAtMs: number | null;
  readonly shortLived: string | null;
  /**
   * The last requested switch to a silent host, and since when that host is silent, monotonic ms; null: there was
   * none.
   */
  readonly silentTarget: { readonly request: ShareRequest; readonly sinceMs: number } | null;
  /** null: the NAS is not to be woken. `isOver`: the time allowed for waking it has passed. */
  readonly waking: {
    readonly sinceMs: number;
    readonly sent: number;
    readonly isOver: boolean;
    readonly wantedAtMs: number;
  } | null;
  /** The last request that counted as a reason to wake the NAS. */
  readonly wakeRequestedBy: ShareRequest | null;
  /** Pauses after failed mounts. Any network or config event, or a person's command, resets the pauses. */
  readonly mountBackoff: Backoff;
  /** Pauses after recoveries that were rolled back. */
  readonly recoveryBackoff: Backoff;
  readonly recoveryFailure: string | null;
  /**
   * Values of `auto_failback` and `lsof_recheck` when the recovery table was last applied in this stability
   * window; null: not applied yet.
   */
  readonly tableAppliedWith: string | null;
  /** Id of the mount seen last, to notice new and vanished mounts. */
  readonly mountId: string | null;
  /** Ids of the mount that this process made, and of the mount that has answered a check; null: none. */
  readonly madeMount: string | null;
  readonly answeredMount: string | null;
  readonly announcedOpenFiles: string | null;
  /** True if it was announced that an unmount failed with EBUSY without a visible open file. */
  readonly announcedBusy: boolean;
  /**
   * Whether this daemon's programs on the share were asked to end for an unmount, and when they may be asked
   * again.
   */
  readonly stopRequested: boolean;
  readonly stopBackoff: Backoff;
  /** When each condition began, by its code. */
  readonly conditionsSince: ReadonlyMap<string, string>;
}

export const INITIAL_STATE: ReconcileState = {
  health: { tb: UNKNOWN_HEALTH, fallback: UNKNOWN_HEALTH },
  announced: { tb: null, fallback: null },
  suspectedLoss: null,
  firstFailedCheck: null,
  pendingCheck: null,
  operation: null,
  observedMoves: null,
  hasNewLogin: false,
  loginRefused: null,
  otherServer: null,
  mountedAtMs: null,
  shortLived: null,
  silentTarget: null,
  waking: null,
  wakeRequestedBy: null,
  mountBackoff: NO_BACKOFF,
  recoveryBackoff: NO_BACKOFF,
  recoveryFailure: null,
  tableAppliedWith: null,
  mountId: null,
  madeMount: null,
  answeredMount: null,
  announcedOpenFiles: null,
  announcedBusy: false,
  stopRequested: false,
  stopBackoff: NO_BACKOFF,
  conditionsSince: new Map(),
};

/** Forgets the health of routes whose address was edited; Thunderbolt's stability window restarts. */
export function forgetChangedRoutes(
  state: ReconcileState,
  before: ShareSpec,
  after: ShareSpec,
): ReconcileState {
  const changed = changedRoutes(before, after);
  if (changed.length === 0) return state;
  const health = { ...state.health };
  const announced = { ...state.announced };
  for (const name of changed) {
    health[name] = UNKNOWN_HEALTH;
    announced[name] = null;
  }
  return {
    ...state,
    health,
    announced,
    suspectedLoss: null,
    recoveryBackoff: NO_BACKOFF,
    recoveryFailure: null,
  };
}

const ROUTE_KEYS: readonly (keyof RouteSpec)[] = ["host", "port", "interfaceName", "folder"];

export function changedRoutes(before: ShareSpec, after: ShareSpec): readonly RouteName[] {
  return ROUTE_NAMES.filter((name) =>
    ROUTE_KEYS.some((key) => before.routes[name][key] !== after.routes[name][key]),
  );
}
