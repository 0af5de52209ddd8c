// What a lane carries from one look to the next and may forget at a restart: suspicions, the operation under way,
// backoff. ShareMemory has what must survive.
import {
  type Backoff,
  NO_BACKOFF,
  type RouteHealth,
  type Suspicion,
  UNKNOWN_HEALTH,
} from "../../reconcile/route-health.ts";
import type { UnmountMode } from "../drivers/mount-driver.ts";
import { ROUTE_NAMES, type RouteName, type RouteSpec, type ShareSpec } from "../share-spec.ts";
import type { ShareRequest } from "./share-request.ts";
import type { OpenFilesSeen } from "./share-seen.ts";

export type OperationKind = "mount" | "failover" | "recovery" | "switch" | "remount" | "unmount";

/** A goal of several steps; each failed step is only the next observation, and the plan says what follows. */
export interface Operation {
  readonly kind: OperationKind;
  readonly reason: string;
  readonly startedAtMs: number;
  readonly from: RouteName | "none" | "unknown";
  readonly mode: UnmountMode;
  /** Routes still to try, in order, once nothing is mounted. */
  readonly plan: readonly RouteName[];
  /** The route this operation is for; reached over another one, it has failed in part. */
  readonly goal: RouteName | null;
  readonly failures: readonly string[];
  /** The one mount it may unmount; null when nothing was mounted. What others mount meanwhile is theirs. */
  readonly mountId: string | null;
  /** Who held files was looked up for it, however late the answer came. */
  readonly checked: boolean;
  /** What was open when its unmount was asked for. */
  readonly cost: OpenFilesSeen | null;
  /** A person's operation: its end answers the request. */
  readonly asked: boolean;
  /** Reached by moving what is carried; nothing is unmounted for it. */
  readonly moves?: true;
}

export interface LaneState {
  readonly health: Readonly<Record<RouteName, RouteHealth>>;
  /** Last announced verdict of each route, and when the host was asked for it, monotonic ms. */
  readonly announced: Readonly<Record<RouteName, { readonly up: boolean; readonly atMs: number } | null>>;
  /** A loss of the active host, seen and not yet confirmed. */
  readonly suspicion: Suspicion | null;
  /** The first of the two dead looks that it takes. */
  readonly deadLook: {
    readonly mountId: string;
    readonly errno: string;
    readonly startedAtMs: number;
  } | null;
  /** A look seen to be without an answer: a late one alone could be this process's own standing still. */
  readonly pendingLook: { readonly startedAtMs: number; readonly seenAtMs: number } | null;
  readonly operation: Operation | null;
  /** When what is carried was last moved, monotonic ms. */
  readonly movedAtMs: number | null;
  /** Since when the server behind the route in use answers without being proved, monotonic ms. */
  readonly doubtAtMs: number | null;
  /** When the newest mount was made, monotonic ms, and the mount last counted for dying soon after. */
  readonly mountedAtMs: number | null;
  readonly diedYoung: string | null;
  /** Since when the host that a person's switch leads to has been silent, monotonic ms; null: it was not. */
  readonly silentGoal: { readonly request: ShareRequest; readonly sinceMs: number } | null;
  /** After mounts that failed; any network or config event or a person's command resets it. */
  readonly mountBackoff: Backoff;
  /** After recoveries that were rolled back. */
  readonly recoveryBackoff: Backoff;
  /** Why the last of them failed. */
  readonly recoveryFailure: string | null;
  /** With which toggles the recovery table was read in this window; null: not yet. */
  readonly tableReadWith: string | null;
  /** The mount last seen, to notice a new one and a vanished one. */
  readonly mountId: string | null;
  /** The mount that this process made, and the one that has answered a look of it; null: none. */
  readonly madeMount: string | null;
  readonly answeredMount: string | null;
  /** Unsent writes may be waiting for a mount to send them. */
  readonly unsentWatched: boolean;
  /** Result of the open-file check last announced. */
  readonly announcedOpenFiles: string | null;
  /** An unmount was answered EBUSY although no open file is seen, and that was announced. */
  readonly announcedBusy: boolean;
  /** This daemon's programs were asked to make room since the last unmount, and when they may be asked again. */
  readonly roomAsked: boolean;
  readonly roomBackoff: Backoff;
  /** Since when each condition stands, wall ms. */
  readonly conditionsSince: ReadonlyMap<string, number>;
}

export const NEW_LANE_STATE: LaneState = {
  health: { tb: UNKNOWN_HEALTH, fallback: UNKNOWN_HEALTH },
  announced: { tb: null, fallback: null },
  suspicion: null,
  deadLook: null,
  pendingLook: null,
  operation: null,
  movedAtMs: null,
  doubtAtMs: null,
  mountedAtMs: null,
  diedYoung: null,
  silentGoal: null,
  mountBackoff: NO_BACKOFF,
  recoveryBackoff: NO_BACKOFF,
  recoveryFailure: null,
  tableReadWith: null,
  mountId: null,
  madeMount: null,
  answeredMount: null,
  unsentWatched: true,
  announcedOpenFiles: null,
  announcedBusy: false,
  roomAsked: false,
  roomBackoff: NO_BACKOFF,
  conditionsSince: new Map(),
};

/** What is known of a route whose host was changed says nothing of the new one; Thunderbolt's window begins anew. */
export function forgetChangedRoutes(state: LaneState, before: ShareSpec, after: ShareSpec): LaneState {
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
    suspicion: null,
    recoveryBackoff: NO_BACKOFF,
    recoveryFailure: null,
  };
}

export function changedRoutes(before: ShareSpec, after: ShareSpec): readonly RouteName[] {
  return ROUTE_NAMES.filter((name) => !isSameRoute(before.routes[name], after.routes[name]));
}

function isSameRoute(one: RouteSpec, other: RouteSpec): boolean {
  return (
    one.host === other.host &&
    one.port === other.port &&
    one.interfaceName === other.interfaceName &&
    one.folder === other.folder
  );
}
