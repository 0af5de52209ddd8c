// The steps that a decision can ask for. Each is performed under a deadline.
import type { FoundMount, UnmountMode } from "../drivers/mount-driver.ts";
import type { RouteName } from "../share-spec.ts";

export type Step =
  | {
      readonly kind: "mount";
      readonly route: RouteName;
      /** The mount is to move between the routes; `route` is the one that it begins with. */
      readonly moves?: true;
      /** A person asked: log in whatever was refused before; take a server that is not the recorded one. */
      readonly logInNow?: true;
      /** The login was just given. */
      readonly newPassword?: true;
      readonly newServer?: true;
    }
  | { readonly kind: "unmount"; readonly mount: FoundMount; readonly mode: UnmountMode }
  /** Moves the mount to another route, or to a new address of the route in use, at a quiet moment. */
  | { readonly kind: "move"; readonly route: RouteName }
  /** Makes the program of a mount that moves log in, although the server has refused the login. */
  | { readonly kind: "log_in" }
  /** Makes that program take the server with this GUID for the share's new one. */
  | { readonly kind: "let_in"; readonly guid: string }
  /** Sends a wake-on-LAN packet to each address. */
  | { readonly kind: "wake"; readonly addresses: readonly string[] }
  | { readonly kind: "check_open_files"; readonly mount: FoundMount };
