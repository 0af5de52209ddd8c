// Transitions as log lines. Nothing else logs state changes.
import type { LogFields, Logger } from "../../runtime/log/log.ts";
import type { ServiceTransition } from "./service-transitions.ts";

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
};

export function logTransition(logger: Logger, transition: ServiceTransition): void {
  const { name, ...fields } = transition;
  const hasFailed = transition.name === "backend.phase" && transition.to === "Failed";
  const level = hasFailed ? "warn" : (LEVELS[name] ?? "info");
  logger[level](name, fields satisfies LogFields);
}
