// The steps that a decision can ask for. Drivers take them, each under a deadline.
import type { FoundMount, UnmountMode } from "../drivers/mount-driver.ts";
import type { RouteName } from "../share-spec.ts";

export type Step =
  /**
   * `carried`: through a port whose route can be moved beneath the mount. `server`: its id; null or absent: not proved.
   */
  | {
      readonly kind: "mount";
      readonly route: RouteName;
      readonly carried?: true;
      readonly server?: string | null;
    }
  | { readonly kind: "unmount"; readonly mount: FoundMount; readonly mode: UnmountMode }
  /** Moves what is carried to another route (or to a new address of the same one). Planned: at a quiet moment. */
  | { readonly kind: "move"; readonly route: RouteName; readonly planned: boolean }
  /** No route is left: programs wait from now on. */
  | { readonly kind: "hold" }
  /**
   * The server behind the route in use is proved since that outage: programs go on. `logon`: only its login was in the
   * way, and is accepted again.
   */
  | { readonly kind: "confirm"; readonly outage: number | null; readonly logon?: true }
  /** A packet to each of them. */
  | { readonly kind: "wake"; readonly addresses: readonly string[] }
  | { readonly kind: "check_open_files"; readonly mount: FoundMount };
