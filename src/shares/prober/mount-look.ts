// Picks how a mount is looked at: by an operation that only a live server can answer. Used only in the prober, because
// it may hang.
import { lookAtMountDarwin } from "./mount-look-darwin.ts";
import { type LookAtMount, lookAtMountLinux } from "./mount-look-linux.ts";

export const lookAtMount: LookAtMount = process.platform === "darwin" ? lookAtMountDarwin : lookAtMountLinux;
