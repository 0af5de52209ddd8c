// Backends of which something waits for approval say so themselves, besides the configuration as a whole.
import type { Condition, StatusReport } from "../../api/contract.ts";
import { WAITING_CODE } from "../../api/words/words.ts";

type GatewayStatuses = Pick<StatusReport, "gateway" | "backends">;

/** `conditions`: of all entries that wait; each hint ends with the entry's id. */
export function withWaiting(status: GatewayStatuses, conditions: readonly Condition[]): GatewayStatuses {
  const waiting = conditions.filter(({ code }) => code === WAITING_CODE);
  if (status.backends === undefined || waiting.length === 0) return status;
  const backends = status.backends.map((backend) => {
    const own = waiting.filter(({ hint }) => hint === `mountaineer approve backends.${backend.name}`);
    if (own.length === 0) return backend;
    const reason = backend.enabled ? backend.reason : "it waits for approval";
    return { ...backend, reason, conditions: [...backend.conditions, ...own] };
  });
  return { ...status, backends };
}
