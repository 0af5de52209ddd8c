// The union of all transitions that a running service announces.
import type { GatewayTransition } from "../../gateway/gateway-transitions.ts";
import type { LogFields, Logger } from "../../runtime/log/log.ts";
import type { AliasTransition } from "../../shares/links/alias-links.ts";
import type { ShareTransition } from "../../shares/policy/share-transitions.ts";

export type ServiceTransition =
  | ShareTransition
  | AliasTransition
  | GatewayTransition
  | NetworkTransition
  | ConfigTransition;

export type NetworkTransition = {
  readonly name: "network.changed";
  /** Texts for people, such as `tb0 went down`. */
  readonly reasons: readonly string[];
  readonly trigger: "network" | "wake";
};

export type ApprovalTransition = {
  /**
   * `config.entry_waits`: an entry waits for approval while its approved version runs.
   * `config.entry_approved`: it was approved.
   */
  readonly name: "config.entry_waits" | "config.entry_approved";
  /** The id of the entry: `backends.files`. */
  readonly entry: string;
  readonly kind: string;
  /** What the entry would do, as a text for people. */
  readonly summary: string;
};

type ConfigTransition =
  | {
      readonly name: "config.applied";
      readonly source: string;
      readonly generation: number;
      readonly sha256: string;
      readonly summary: string;
    }
  | { readonly name: "config.rejected"; readonly source: string; readonly reason: string }
  | ApprovalTransition
  /** The share was removed from the configuration; its mount stays. */
  | {
      readonly name: "share.unmanaged";
      readonly share: string;
      readonly left_mounted_over: "tb" | "fallback" | "none";
    };

const LEVELS: Partial<Record<ServiceTransition["name"], "warn" | "error">> = {
  "share.route_down": "warn",
  "share.vanished": "warn",
  "share.mount_failed": "warn",
  "share.unmount_failed": "warn",
  "share.failover": "warn",
  "share.recovery_failed": "warn",
  "share.error": "error",
  "alias.blocked": "warn",
  "config.rejected": "error",
  "config.entry_waits": "warn",
  "backend.ended": "warn",
  "backend.failover": "warn",
  "backend.change_failed": "error",
  "catalog.collision": "warn",
  "catalog.tool_changed": "warn",
  "catalog.tool_new": "warn",
  "gateway.listen_failed": "error",
  "question.asked": "warn",
};

export function logTransition(logger: Logger, transition: ServiceTransition): void {
  const { name, ...fields } = transition;
  const hasFailed = transition.name === "backend.phase" && transition.to === "Failed";
  const level = hasFailed ? "warn" : (LEVELS[name] ?? "info");
  logger[level](name, fields satisfies LogFields);
}
