// The changes of a share that are announced: in the log, in status, and in every user interface.
import type { RouteName } from "../share-spec.ts";

type Place = RouteName | "none" | "unknown";

export type ShareTransition =
  | Named<"share.route_up", { route: RouteName; host: string; reason: string }>
  | Named<"share.route_down", { route: RouteName; host: string; reason: string }>
  | Named<"share.adopted", { route: Place; source: string; path: string }>
  | Named<"share.vanished", { from: Place }>
  | Named<"share.mount_attempt", { route: RouteName; host: string; reason: string }>
  | Named<"share.mounted", Moved>
  | Named<"share.mount_failed", { route: RouteName; host: string; reason: string; duration_ms: number }>
  | Named<"share.move_failed", { route: RouteName; host: string; reason: string; duration_ms: number }>
  | Named<
      "share.unmounted",
      {
        from: Place;
        forced: boolean;
        reason: string;
        duration_ms: number;
        /** null: nobody looked, or the answer was late. */
        open_files: number | null;
        unsent_files: number | null;
      }
    >
  | Named<"share.unmount_failed", { from: Place; reason: string; duration_ms: number; busy: boolean }>
  | Named<"share.failover", Moved>
  | Named<"share.recovered", Moved>
  | Named<"share.recovery_failed", Moved>
  | Named<"share.switched", Moved>
  | Named<"share.remounted", Moved>
  | Named<"share.recovery_deferred", { reason: string; open_files: number }>
  | Named<"share.tb_ready", { reason: string }>
  | Named<"share.tb_ready_cleared", { reason: string }>
  | Named<
      "share.open_files_checked",
      { result: "none" | "open" | "unknown"; open_files: number; unsent_files: number; reason: string }
    >
  | Named<"share.held", { from: string; to: string }>
  | Named<"share.error", { reason: string }>
  | Named<"share.error_cleared", { reason: string }>;

/** A change of route. */
interface Moved {
  from: Place;
  to: Place;
  host: string;
  reason: string;
  duration_ms: number;
  /**
   * The mount stayed and its route moved; then `quiet`: no request was cut off, and the number of connections that were
   * reset.
   */
  carried?: true;
  quiet?: boolean;
  connections?: number;
}

type Named<Name extends string, Fields> = { readonly name: Name; readonly share: string } & Readonly<Fields>;

type WithoutShare<T> = T extends unknown ? Omit<T, "share"> : never;

/** A transition without the name of its share. */
export type NewTransition = WithoutShare<ShareTransition>;
