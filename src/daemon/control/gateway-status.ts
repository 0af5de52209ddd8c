// The gateway's state in the form of the API.
import type { BackendStatus, Condition, GatewayStatus, StatusReport, ToolEntry } from "../../api/contract.ts";
import type { BackendConfig } from "../../config/snapshot.ts";
import type { BackendCondition } from "../../gateway/backends/policy/backend-pool-contract.ts";
import type { CatalogEntry } from "../../gateway/catalog/catalog.ts";
import type { Gateway, GatewayView } from "../../gateway/serving/gateway-contract.ts";
import { isoTime } from "../../runtime/time/clock.ts";

export function gatewayStatus(
  gateway: Pick<Gateway, "view" | "entries">,
): Required<Pick<StatusReport, "gateway" | "backends">> {
  const view = gateway.view();
  return { gateway: overall(view), backends: backends(view, gateway.entries()) };
}

/** What is configured, while nothing of it runs. */
export function idleGatewayStatus(
  configured: readonly BackendConfig[],
  since: string,
): Required<Pick<StatusReport, "gateway" | "backends">> {
  const backends = configured.map(({ name, group, connection, enabled }) => ({
    name,
    group,
    type: connection.type,
    enabled,
    phase: "Pending" as const,
    reason: enabled ? "no daemon runs" : "it is disabled",
    since,
    pid: null,
    server: null,
    protocol_version: null,
    instances: 0,
    in_flight: 0,
    draining: 0,
    restarts: 0,
    retry_at: null,
    last_error: null,
    tools: 0,
    resources: 0,
    prompts: 0,
    conditions: [],
  }));
  const counts = { tools: 0, resources: 0, resource_templates: 0, prompts: 0 };
  return { gateway: { url: null, sessions: 0, in_flight: 0, ...counts, conditions: [] }, backends };
}

function overall({ url, sessions, inFlight, counts, conditions }: GatewayView): GatewayStatus {
  return {
    url,
    sessions,
    in_flight: inFlight,
    tools: counts.tools,
    resources: counts.resources,
    resource_templates: counts.resourceTemplates,
    prompts: counts.prompts,
    conditions: conditions.map(conditionStatus),
  };
}

function backends(view: GatewayView, entries: ReturnType<Gateway["entries"]>): BackendStatus[] {
  const tools = countByBackend(entries.tools);
  const resources = countByBackend(entries.resources);
  const prompts = countByBackend(entries.prompts);
  return view.backends.map((backend) => ({
    name: backend.name,
    group: backend.group,
    type: backend.type,
    enabled: backend.enabled,
    phase: backend.phase,
    reason: backend.reason,
    since: isoTime(backend.sinceMs),
    pid: backend.pid,
    server: backend.server,
    protocol_version: backend.protocolVersion,
    instances: backend.instances,
    in_flight: backend.inFlight,
    draining: backend.draining,
    restarts: backend.restarts,
    retry_at: backend.retryAtMs === null ? null : isoTime(backend.retryAtMs),
    last_error: backend.lastError,
    tools: tools.get(backend.name) ?? 0,
    resources: resources.get(backend.name) ?? 0,
    prompts: prompts.get(backend.name) ?? 0,
    ...withheld(view.withheldTools.get(backend.name)),
    conditions: backend.conditions.map(conditionStatus),
  }));
}

function withheld(count: number | undefined): Pick<BackendStatus, "withheld_tools"> {
  return count === undefined ? {} : { withheld_tools: count };
}

function countByBackend(entries: readonly CatalogEntry[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { backend } of entries) counts.set(backend, (counts.get(backend) ?? 0) + 1);
  return counts;
}

function conditionStatus({ code, severity, title, hint, sinceMs }: BackendCondition): Condition {
  return { code, severity, title, hint, since: isoTime(sinceMs) };
}

export function toolEntry({ name, backend, originalName, definition }: CatalogEntry): ToolEntry {
  const { description, inputSchema } = definition;
  const isSchema = typeof inputSchema === "object" && inputSchema !== null;
  return {
    name,
    backend,
    original_name: originalName,
    description: typeof description === "string" ? description : null,
    input_schema: isSchema ? { ...inputSchema } : {},
  };
}
