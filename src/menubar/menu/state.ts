// The health of a share, of a backend, and of everything together.
import type { BackendStatus, Condition, ShareStatus } from "../../api/contract.ts";
import type { MenuState } from "./menu.ts";
import type { MenuWorld } from "./world.ts";

export function stateOfWorld({ connection, status, sync }: MenuWorld): MenuState {
  if (status === null || connection.kind === "absent") return "down";
  const { global, shares, gateway, backends = [] } = status;
  const served = backends.filter(({ enabled }) => enabled);
  const states = [...shares.map(stateOfShare), ...served.map(stateOfBackend)];
  if (states.length > 0 && states.every((state) => state === "down")) return "down";
  if (states.includes("tb_ready")) return "tb_ready";
  const isWrong =
    connection.kind === "silent" ||
    states.some((state) => state !== "healthy") ||
    areWrong(global.conditions) ||
    (gateway !== undefined && areWrong(gateway.conditions)) ||
    (sync !== null && (sync.last_error !== null || sync.watching === "stopped"));
  return isWrong ? "degraded" : "healthy";
}

export function stateOfShare(share: ShareStatus): MenuState {
  // Unmounted because somebody asked for it: nothing is wrong.
  if (share.held === "unmounted" && share.mount_state === "unmounted") return "healthy";
  if (share.mount_state !== "mounted" || !share.mount_alive) return "down";
  if (share.tb_recovery_pending) return "tb_ready";
  if (share.last_error !== null || areWrong(share.conditions)) return "degraded";
  const isSecondBest = share.active_interface === "fallback" && share.held !== "fallback";
  return isSecondBest ? "degraded" : "healthy";
}

export function stateOfBackend({ phase, conditions, routes }: BackendStatus): MenuState {
  if (phase === "Failed") return "down";
  if ((routes?.recovery_pending ?? null) !== null) return "tb_ready";
  const used = routes?.list.findIndex((route) => route.in_use) ?? 0;
  const isSecondBest = used > 0 && routes?.held !== routes?.in_use;
  return phase === "Degraded" || areWrong(conditions) || isSecondBest ? "degraded" : "healthy";
}

function areWrong(conditions: readonly Condition[]): boolean {
  return conditions.some(({ severity }) => severity !== "info");
}
