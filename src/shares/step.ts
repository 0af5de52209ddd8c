// Owns the steps a decision may ask for; each is bounded by a deadline and performed by drivers.
import type { FoundMount, UnmountMode } from "./drivers/mount-driver.ts";
import type { RouteName } from "./share-spec.ts";

export type Step =
  | { readonly kind: "mount"; readonly route: RouteName }
  | { readonly kind: "unmount"; readonly mount: FoundMount; readonly mode: UnmountMode }
  | { readonly kind: "check_open_files"; readonly mount: FoundMount };
