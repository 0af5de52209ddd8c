// The gateway's state for the management API.
import type {
  BackendRoutesStatus,
  BackendStatus,
  ClientStatus,
  Condition,
  GatewayStatus,
  StatusReport,
  ToolEntry,
} from "../../api/contract/contract.ts";
import type { BackendConfig } from "../../config/snapshot.ts";
import type { RoutesView } from "../../gateway/backends/policy/backend-pool-contract.ts";
import { BACKEND_CONDITIONS } from "../../gateway/backends/policy/condition-rows.ts";
import { resolveConnection } from "../../gateway/backends/pool/connection-key.ts";
import type { CatalogEntry } from "../../gateway/catalog/catalog.ts";
import type { ConnectedClient } from "../../gateway/serving/connected-clients.ts";
import type { Gateway } from "../../gateway/serving/gateway.ts";
import type { GatewayView } from "../../gateway/serving/gateway-contract.ts";
import { shortened } from "../../runtime/text/safe-line.ts";
import { isoTime, isoTimeOrNull } from "../../runtime/time/clock.ts";
import type { SecretValues } from "../../secrets/reference.ts";
import { explanationStatus } from "./share-status.ts";

const MEBIBYTE = 1024 * 1024;

export function gatewayStatus(
  gateway: Pick<Gateway, "view" | "entries" | "serving">,
  /** What the programs of backends take, in bytes; null: not measured. */
  memory: number | null = null,
): Required<Pick<StatusReport, "gateway" | "backends">> {
  const view = gateway.view();
  return { gateway: overall(view, memory), backends: backends(view, gateway) };
}

/** The status of a configured gateway while no daemon runs; missing secrets are conditions. */
export function idleGatewayStatus(
  configured: readonly BackendConfig[],
  since: string,
  values: SecretValues,
): Required<Pick<StatusReport, "gateway" | "backends">> {
  const backends = configured.map((backend) => ({
    name: backend.name,
    group: backend.group,
    type: backend.connection.type,
    enabled: backend.enabled,
    phase: "Pending" as const,
    reason: backend.enabled ? "no daemon runs" : "it is disabled",
    since,
    pid: null,
    server: null,
    protocol_version: null,
    instances: 0,
    in_flight: 0,
    draining: 0,
    calls: 0,
    errors: 0,
    latency_ms: null,
    restarts: 0,
    retry_at: null,
    last_error: null,
    tools: 0,
    resources: 0,
    prompts: 0,
    conditions: missingSecrets(backend, values).map((one) => ({ ...one, since })),
  }));
  const counts = { tools: 0, resources: 0, resource_templates: 0, prompts: 0 };
  return { gateway: { url: null, sessions: 0, in_flight: 0, ...counts, conditions: [] }, backends };
}

export function missingSecrets({ name, connection, enabled }: BackendConfig, values: SecretValues) {
  const resolved = resolveConnection(connection, values);
  return !enabled || resolved.ok ? [] : [BACKEND_CONDITIONS.secret_missing(name, resolved.missing)];
}

function programsOf({ backends }: GatewayView, memory: number | null): Pick<GatewayStatus, "programs"> {
  const programs = backends.filter(({ type, enabled }) => type === "stdio" && enabled);
  if (programs.length === 0) return {};
  const running = programs.filter(({ instances }) => instances > 0).length;
  const asleep = programs.filter(({ phase }) => phase === "Asleep").length;
  return { programs: { running, asleep, memory_mb: memory === null ? null : Math.round(memory / MEBIBYTE) } };
}

function overall(view: GatewayView, memory: number | null): GatewayStatus {
  const { url, sessions, inFlight, counts, conditions } = view;
  return {
    url,
    sessions,
    in_flight: inFlight,
    tools: counts.tools,
    resources: counts.resources,
    resource_templates: counts.resourceTemplates,
    prompts: counts.prompts,
    ...programsOf(view, memory),
    conditions: [...conditions],
  };
}

function backends(view: GatewayView, gateway: Pick<Gateway, "entries" | "serving">): BackendStatus[] {
  const entries = gateway.entries();
  const tools = countByBackend(entries.tools);
  const resources = countByBackend(entries.resources);
  const prompts = countByBackend(entries.prompts);
  const filtered = countByBackend(
    gateway.serving.catalog.entries.filter(({ kind, status }) => kind === "tool" && status === "filtered"),
  );
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
    ...longWaits(backend.longWaits),
    draining: backend.draining,
    ...callsOf(backend.name, gateway.serving.minutes),
    restarts: backend.restarts,
    retry_at: isoTimeOrNull(backend.retryAtMs),
    last_error: backend.lastError,
    tools: tools.get(backend.name) ?? 0,
    resources: resources.get(backend.name) ?? 0,
    prompts: prompts.get(backend.name) ?? 0,
    ...withheld(filtered.get(backend.name)),
    ...(backend.routes === null ? {} : { routes: routesStatus(backend.routes) }),
    conditions: [...backend.conditions],
    explanation: explanationStatus(backend.explanation),
  }));
}

function callsOf(
  backend: string,
  callMinutes: Gateway["serving"]["minutes"],
): Pick<BackendStatus, "calls" | "errors" | "latency_ms" | "recent"> {
  const { calls, errors, latencyMs, recent } = callMinutes.of(backend);
  const latency = latencyMs === null ? null : { ...latencyMs };
  return {
    calls,
    errors,
    latency_ms: latency,
    ...(recent.calls === 0 ? {} : { recent: { ...recent } }),
  };
}

function routesStatus({ inUse, override, pending, list }: RoutesView): BackendRoutesStatus {
  return {
    in_use: inUse,
    override,
    recovery_pending: pending,
    list: list.map((route) => ({
      name: route.name,
      type: route.type,
      target: route.target,
      in_use: route.inUse,
      healthy_since: isoTimeOrNull(route.healthySinceMs),
      stable_at: isoTimeOrNull(route.stableAtMs),
      retry_at: isoTimeOrNull(route.retryAtMs),
      last_error: route.lastError,
    })),
  };
}

function longWaits(
  waits: GatewayView["backends"][number]["longWaits"],
): Pick<BackendStatus, "waiting_calls"> {
  if (waits === null) return {};
  return { waiting_calls: { count: waits.calls, longest_ms: Math.round(waits.longestMs) } };
}

function withheld(count: number | undefined): Pick<BackendStatus, "withheld_tools"> {
  return count === undefined ? {} : { withheld_tools: count };
}

function countByBackend(entries: readonly CatalogEntry[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { backend } of entries) counts.set(backend, (counts.get(backend) ?? 0) + 1);
  return counts;
}

const LONGEST_CLIENT_NAME = 100;

export function clientStatus(connected: ConnectedClient): ClientStatus {
  const { client, sinceMs, heardMs, isIdle, calls, lastError } = connected;
  const { clientInfo, principal, group, protocolVersion } = client;
  const textOf = (value: unknown): string | null =>
    typeof value === "string" ? shortened(value, LONGEST_CLIENT_NAME) : null;
  const own = { owner: "stdio", machine: "fleet", anonymous: "http", user: "http" } as const;
  return {
    name: textOf(clientInfo["name"]) ?? "unnamed",
    version: textOf(clientInfo["version"]),
    user: principal.name,
    group,
    protocol: protocolVersion,
    transport: client.transport ?? own[principal.kind],
    since: isoTime(sinceMs),
    last_heard: isoTime(heardMs),
    ...(isIdle && { idle: true }),
    calls,
    last_error: lastError === null ? null : { time: isoTime(lastError.atMs), message: lastError.message },
  };
}

export function toolEntry(tool: CatalogEntry): ToolEntry {
  const { name, backend, originalName, definition } = tool;
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

type GatewayStatuses = Pick<StatusReport, "gateway" | "backends">;

/** Adds to each backend the condition of its entry that waits for approval. */
export function withWaiting(
  status: GatewayStatuses,
  waiting: ReadonlyMap<string, Condition>,
): GatewayStatuses {
  if (status.backends === undefined) return status;
  const backends = status.backends.map((backend) => {
    const condition = waiting.get(`backends.${backend.name}`);
    if (condition === undefined) return backend;
    const conditions = [...backend.conditions, condition];
    if (backend.enabled) return { ...backend, conditions };
    const reason = "it waits for approval";
    const { explanation } = backend;
    const explained = explanation && { explanation: { ...explanation, why: reason } };
    return { ...backend, ...explained, reason, conditions };
  });
  return { ...status, backends };
}
