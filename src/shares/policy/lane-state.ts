// What a lane remembers from one look to the next and may forget at a restart: suspicions, the operation under way,
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

/** A goal of several steps. A failed step is only the next observation, and the plan says what follows. */
export interface Operation {
  readonly kind: OperationKind;
  readonly reason: string;
  readonly startedAtMs: number;
  readonly from: RouteName | "none" | "unknown";
  readonly mode: UnmountMode;
  /** Routes still to try, in order, once nothing is mounted. */
  readonly plan: readonly RouteName[];
  /** The route that this operation wants; if it arrives over another one, it has failed in part. */
  readonly goal: RouteName | null;
  readonly failures: readonly string[];
  /** The one mount it may unmount; null when nothing was mounted. What others mount meanwhile is theirs. */
  readonly mountId: string | null;
  /** The holders of files were looked up for it, even if the answer came late. */
  readonly checked: boolean;
  /** The files that were open when its unmount was asked for. */
  readonly cost: OpenFilesSeen | null;
  /** A person's operation: its end answers the request. */
  readonly asked: boolean;
  /** It only moves what is carried, and unmounts nothing. */
  readonly moves?: true;
}

export interface LaneState {
  readonly health: Readonly<Record<RouteName, RouteHealth>>;
  /** The last announced verdict of each route, and when the host was asked for it, monotonic ms. */
  readonly announced: Readonly<Record<RouteName, { readonly up: boolean; readonly atMs: number } | null>>;
  /** A loss of the active host that is not confirmed yet. */
  readonly suspicion: Suspicion | null;
  /** The first of the two dead looks that a verdict on this mount needs. */
  readonly deadLook: { readonly startedAtMs: number } | null;
  /** A look without an answer that was seen twice: if it is only late, this process itself may have stood still. */
  readonly pendingLook: { readonly startedAtMs: number; readonly seenAtMs: number } | null;
  readonly operation: Operation | null;
  /** When what is carried was last moved, monotonic ms. */
  readonly movedAtMs: number | null;
  /** Since when the server behind the route in use has answered without being proved, monotonic ms. */
  readonly doubtAtMs: number | null;
  /** When the newest mount was made, monotonic ms, and the last mount that counted as dying soon after. */
  readonly mountedAtMs: number | null;
  readonly diedYoung: string | null;
  /** Since when the host of a person's switch has been silent, monotonic ms; null: it was not. */
  readonly silentGoal: { readonly request: ShareRequest; readonly sinceMs: number } | null;
  /** Its NAS is being woken, or did not wake (`isOver`): since when, and packets so far; null: neither. */
  readonly waking: {
    readonly sinceMs: number;
    readonly sent: number;
    readonly isOver: boolean;
    readonly wantedAtMs: number;
  } | null;
  /** The person's request for which it was woken last, or would have been. */
  readonly wakeAskedBy: ShareRequest | null;
  /** Pauses after failed mounts; any network or config event or a person's command resets them. */
  readonly mountBackoff: Backoff;
  /** Pauses after recoveries that were rolled back. */
  readonly recoveryBackoff: Backoff;
  /** Why the last of them failed. */
  readonly recoveryFailure: string | null;
  /** The toggles with which the recovery table was read in this window; null: not yet. */
  readonly tableReadWith: string | null;
  /** The mount last seen, to notice a new one and a vanished one. */
  readonly mountId: string | null;
  /** The mount that this process made, and the one that has answered a look; null: none. */
  readonly madeMount: string | null;
  readonly answeredMount: string | null;
  /** Unsent writes may wait for a mount to send them. */
  readonly unsentWatched: boolean;
  /** The result of the open-file check that was last announced. */
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
  waking: null,
  wakeAskedBy: null,
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

/** What is known of a route whose host was changed does not apply to the new one; Thunderbolt's window begins anew. */
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
