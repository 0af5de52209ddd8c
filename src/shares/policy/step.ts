// The steps that a decision can ask for. Each is performed under a deadline.
import type { FoundMount, UnmountMode } from "../drivers/mount-driver.ts";
import type { RouteName } from "../share-spec.ts";

export type Step =
  /**
   * `carried`: mount through the relay, which can move the mount to another route. `server`: the server's id; null: not
   * proved.
   */
  | {
      readonly kind: "mount";
      readonly route: RouteName;
      readonly relayed?: true;
      readonly server?: string | null;
    }
  | { readonly kind: "unmount"; readonly mount: FoundMount; readonly mode: UnmountMode }
  /**
   * Moves the relayed mount to another route, or to a new address of the route in use. `planned`: at a quiet moment.
   */
  | { readonly kind: "move"; readonly route: RouteName; readonly planned: boolean }
  /** Makes the relay hold the mount's connections back while no route is left. */
  | { readonly kind: "hold" }
  /**
   * Makes the relay let connections through again. Without `login`: the server was proved after the outage with
   * this number; with `login`: the server accepts the login again.
   */
  | { readonly kind: "confirm"; readonly outage: number | null; readonly login?: true }
  /** Sends a wake-on-LAN packet to each address. */
  | { readonly kind: "wake"; readonly addresses: readonly string[] }
  | { readonly kind: "check_open_files"; readonly mount: FoundMount };
