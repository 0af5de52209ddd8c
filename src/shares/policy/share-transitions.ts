// The changes of a share that are announced: in the log, in status and in all user interfaces.
import type { RouteName } from "../share-spec.ts";

type RoutePosition = RouteName | "none" | "unknown";

export type ShareTransition =
  | Named<"share.route_up", { route: RouteName; host: string; reason: string }>
  | Named<"share.route_down", { route: RouteName; host: string; reason: string }>
  | Named<"share.adopted", { route: RoutePosition; source: string; path: string }>
  | Named<"share.vanished", { from: RoutePosition }>
  | Named<"share.mount_attempt", { route: RouteName; host: string; reason: string }>
  | Named<"share.mount_failed", { route: RouteName; host: string; reason: string; duration_ms: number }>
  | Named<"share.move_failed", { route: RouteName; host: string; reason: string; duration_ms: number }>
  | Named<
      "share.unmounted",
      {
        from: RoutePosition;
        forced: boolean;
        reason: string;
        duration_ms: number;
        /** Number of open files; null: not looked up, or the answer was late. */
        open_files: number | null;
      }
    >
  | Named<"share.unmount_failed", { from: RoutePosition; reason: string; duration_ms: number; busy: boolean }>
  | Named<ArrivalName | "share.recovery_failed", Arrival>
  | Named<"share.recovery_deferred", { reason: string; open_files: number }>
  | Named<"share.tb_ready", { reason: string }>
  | Named<"share.tb_ready_cleared", { reason: string }>
  | Named<
      "share.open_files_checked",
      { result: "none" | "open" | "unknown"; open_files: number; reason: string }
    >
  /** The proved networks that `only_on` stands for have changed. */
  | Named<"share.networks", { reason: string }>
  | Named<"share.override", { from: string; to: string }>
  | Named<"share.error", { reason: string }>
  | Named<"share.error_cleared", { reason: string }>;

/** The transitions that report a successful mount or move. */
export type ArrivalName =
  | "share.mounted"
  | "share.failover"
  | "share.recovered"
  | "share.switched"
  | "share.remounted";

interface Arrival {
  from: RoutePosition;
  to: RoutePosition;
  host: string;
  reason: string;
  duration_ms: number;
  /** The mount stayed, and its program changed the route. */
  moved?: true;
  /** True: the move cut off no request. */
  quiet?: boolean;
  /** Connections that the move ended. */
  connections?: number;
}

type Named<Name extends string, Fields> = {
  readonly name: Name;
  readonly share: string;
  /** The kind of the preferred route's link, by which people call it; absent: not known. */
  readonly tb_link?: string;
} & Readonly<Fields>;

type WithoutShare<T> = T extends unknown ? Omit<T, "share"> : never;

export type NewTransition = WithoutShare<ShareTransition>;
