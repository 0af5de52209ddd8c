// The steps that a decision can ask for. Drivers take them, each under a deadline.
import type { FoundMount, UnmountMode } from "../drivers/mount-driver.ts";
import type { RouteName } from "../share-spec.ts";

export type Step =
  /** `carried`: over a port whose route can be moved beneath the mount. `server`: whose it is; null or absent: not proved. */
  | {
      readonly kind: "mount";
      readonly route: RouteName;
      readonly carried?: true;
      readonly server?: string | null;
    }
  | { readonly kind: "unmount"; readonly mount: FoundMount; readonly mode: UnmountMode }
  /** Moves what is carried to another route (or to the same one's new address). Planned: at a quiet instant. */
  | { readonly kind: "move"; readonly route: RouteName; readonly planned: boolean }
  /** No route is left: programs wait from now on. */
  | { readonly kind: "hold" }
  /**
   * The server behind the route in use is proved since that outage: programs go on. `logon`: its login is right again,
   * which is all that was in the way.
   */
  | { readonly kind: "confirm"; readonly outage: number | null; readonly logon?: true }
  | { readonly kind: "check_open_files"; readonly mount: FoundMount };
