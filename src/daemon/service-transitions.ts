// Owns the union of everything that is announced by a running service.
import type { ShareTransition } from "../shares/share-transitions.ts";

export type ServiceTransition = ShareTransition | NetworkTransition;

export type NetworkTransition = {
  readonly name: "network.changed";
  /** What happened: `tb0 lost carrier`. */
  readonly reasons: readonly string[];
  readonly trigger: "network" | "wake";
};
