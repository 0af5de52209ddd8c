// Sample gateways and backends for tests of the API and the command line.

import type { CatalogReport } from "../../src/api/contract/catalog.ts";
import type {
  BackendStatus,
  CallReport,
  ClientStatus,
  GatewayStatus,
  GlobalStatus,
  ShareStatus,
  StatusReport,
  ToolEntry,
} from "../../src/api/contract/contract.ts";
import type { Person } from "../../src/api/contract/people.ts";
import type { AuditReport } from "../../src/api/contract/records.ts";
import { isCalled, type ToolChange, type ToolChangesReport } from "../../src/api/contract/tool-changes.ts";
import { gatewayOff, selectBackends, toolUnknown } from "../../src/api/operations/gateway-names.ts";
import type { Control, InputOf } from "../../src/api/operations/operations.ts";
import { sampleReport, secondsAgo } from "./sample-report.ts";

export function sampleGateway(changes: Partial<GatewayStatus> = {}): GatewayStatus {
  return {
    url: "http://127.0.0.1:9000/mcp",
    sessions: 2,
    in_flight: 1,
    tools: 14,
    resources: 3,
    resource_templates: 1,
    prompts: 0,
    conditions: [],
    ...changes,
  };
}

/** A backend that is well. */
export function sampleBackend(changes: Partial<BackendStatus> = {}): BackendStatus {
  return {
    name: "files",
    group: null,
    type: "stdio",
    enabled: true,
    phase: "Ready",
    reason: null,
    since: secondsAgo(600),
    pid: 812,
    server: { name: "secure-filesystem-server", version: "0.2.0" },
    protocol_version: "2025-11-25",
    instances: 1,
    in_flight: 0,
    draining: 0,
    calls: 0,
    errors: 0,
    latency_ms: null,
    restarts: 0,
    retry_at: null,
    last_error: null,
    tools: 14,
    resources: 3,
    prompts: 0,
    conditions: [],
    ...changes,
  };
}

export function sampleTool(changes: Partial<ToolEntry> = {}): ToolEntry {
  return {
    name: "read_file",
    backend: "files",
    original_name: "read_file",
    description: "Reads a file.",
    input_schema: { type: "object", properties: { path: { type: "string" } } },
    ...changes,
  };
}

export function gatewayReport(
  backends: BackendStatus[] = [sampleBackend()],
  changes: {
    readonly gateway?: Partial<GatewayStatus>;
    readonly global?: Partial<GlobalStatus>;
    readonly shares?: ShareStatus[];
  } = {},
): StatusReport {
  return {
    ...sampleReport(changes.shares ?? [], changes.global),
    gateway: sampleGateway(changes.gateway),
    backends,
  };
}

export interface GatewayCall {
  readonly name: string;
  readonly request: unknown;
  readonly signal: AbortSignal;
}

type GatewayControl = Pick<
  Control,
  | ("tools" | "switchTools" | "clients" | "catalog" | "call" | "toolChanges" | "approveTools")
  | ("restart" | "switchBackend" | "logs" | "audit")
>;

export interface ScriptedGateway extends GatewayControl {
  readonly calls: GatewayCall[];
}

/** The digest of a sample tool that is another one by the time it is approved. */
export const CHANGES_MEANWHILE = "changes-meanwhile";

export function sampleToolChange(changes: Partial<ToolChange> = {}): ToolChange {
  return {
    backend: "files",
    tool: "read_file",
    published_as: "read_file",
    kind: "changed",
    withheld: false,
    digest: "digest",
    before_known: true,
    members: [{ member: "description", before: "Reads a file.", after: "Reads a\u202e file." }],
    ...changes,
  };
}

/** Of these tools alone. */
export function catalogOf<T extends object>(
  tools: readonly T[],
  changes: Partial<Omit<CatalogReport, "tools">> = {},
) {
  const none = { resources: [], resource_templates: [], prompts: [], withheld: [], left_out: null };
  return { tools: [...tools], ...none, ...changes };
}

/** One entry of each kind. */
export function sampleCatalog(changes: Partial<CatalogReport> = {}): CatalogReport {
  return {
    tools: [
      {
        name: "files_read",
        original_name: "read",
        backend: "files",
        title: "Read",
        description: "Reads a file.",
        input_schema: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
        output_schema: { type: "object" },
        annotations: { readOnlyHint: true },
      },
    ],
    resources: [{ uri: "file:///a", name: "a", backend: "files", mime_type: "text/plain", size: 3 }],
    resource_templates: [{ uri_template: "file:///{path}", name: "any", backend: "files" }],
    prompts: [
      {
        name: "ask",
        original_name: "ask",
        backend: "web",
        arguments: [{ name: "topic", description: "About what.", required: true }],
      },
    ],
    withheld: [
      {
        backend: "files",
        kind: "tool",
        name: "rm",
        reason: "filter",
        why: "the server's filters hide it",
      },
    ],
    left_out: null,
    ...changes,
  };
}

export function sampleAudit(changes: Partial<AuditReport> = {}): AuditReport {
  return {
    enabled: true,
    path: "/home/ada/.mountaineer/audit.jsonl",
    records: [
      {
        time: secondsAgo(3),
        kind: "request",
        principal: "owner",
        session: "0123456789ab",
        method: "tools/call",
        target: "tool:read_file",
        backend: "files",
        outcome: "ok",
        duration_ms: 1.5,
      },
    ],
    more: true,
    next: "64768-1234.5678",
    ...changes,
  };
}

export function sampleClient(changes: Partial<ClientStatus> = {}): ClientStatus {
  return {
    name: "claude-code",
    version: "2.1.0",
    user: "ann",
    group: null,
    protocol: "2025-11-25",
    transport: "http",
    since: secondsAgo(300),
    last_heard: secondsAgo(10),
    calls: 12,
    last_error: { time: secondsAgo(60), message: "no such file" },
    ...changes,
  };
}

export function samplePerson(changes: Partial<Person> = {}): Person {
  return {
    ...{ name: "ann", roles: ["dev"], signs_in: "token", last_heard: secondsAgo(10) },
    programs: [
      {
        ...{ id: "grant-1", name: "Claude", answers_to: "https://claude.ai" },
        ...{ resource: "http://127.0.0.1:9000/mcp", backends: ["files"], read_only: true },
        ...{ since: secondsAgo(600), last_used: secondsAgo(60) },
      },
    ],
    servers: [
      {
        backend: "files",
        entries: [
          { kind: "tool", name: "read_file", effect: "allow", rule: "policy 1" },
          { kind: "tool", name: "delete_file", effect: "deny", rule: 'default_effect = "deny"' },
        ],
      },
    ],
    ...changes,
  };
}

/** What a daemon performs where no gateway is configured. */
export function noGateway(): Partial<Control> {
  const off = () => {
    throw gatewayOff();
  };
  return { tools: off, call: off, logs: off };
}

/** A gateway that notes every request, and answers a call with what `answer` says. */
export function scriptedGateway(
  answer: (request: InputOf<"call">, signal: AbortSignal) => CallReport | Promise<CallReport> = ({
    tool,
  }) => ({
    result: { content: [{ type: "text", text: `${tool} was called` }] },
    error: null,
  }),
  tools: readonly ToolEntry[] = [
    sampleTool(),
    sampleTool({ name: "write_file", original_name: "write_file" }),
  ],
  backends: readonly string[] = ["files", "web"],
  changes: ToolChangesReport = { changes: [], unseen: [], lost: null },
): ScriptedGateway {
  const calls: GatewayCall[] = [];
  return {
    calls,
    async tools(request, signal) {
      calls.push({ name: "tools", request, signal });
      return { tools: [...tools] };
    },
    async switchTools(request, signal) {
      calls.push({ name: "switchTools", request, signal });
      const [unknown] = request.tools.filter((name) => !tools.some((tool) => tool.name === name));
      if (unknown !== undefined)
        throw toolUnknown(
          unknown,
          tools.map(({ name }) => name),
        );
      return { switched: [...request.tools] };
    },
    async clients(request, signal) {
      calls.push({ name: "clients", request, signal });
      return { clients: [sampleClient()] };
    },
    async catalog(request, signal) {
      calls.push({ name: "catalog", request, signal });
      return sampleCatalog();
    },
    async call(request, signal) {
      calls.push({ name: "call", request, signal });
      const names = tools.map(({ name }) => name);
      if (!names.includes(request.tool)) throw toolUnknown(request.tool, names);
      return answer(request, signal);
    },
    async toolChanges(request, signal) {
      calls.push({ name: "toolChanges", request, signal });
      const { tools: named = null } = request;
      const isMeant = (change: ToolChange): boolean => named?.some((name) => isCalled(change, name)) ?? true;
      return { ...changes, changes: changes.changes.filter(isMeant) };
    },
    async approveTools(request, signal) {
      calls.push({ name: "approveTools", request, signal });
      const isSeen = ({ digest }: { digest: string }): boolean => digest !== CHANGES_MEANWHILE;
      return {
        approved: request.items.filter(isSeen),
        skipped: request.items.filter((item) => !isSeen(item)),
      };
    },
    async restart(request, signal) {
      const { backends: selection = null } = request;
      calls.push({ name: "restart", request: selection, signal });
      return { restarted: [...selectBackends(selection, backends)] };
    },
    async switchBackend(request, signal) {
      calls.push({ name: "switchBackend", request, signal });
      selectBackends([request.backend], backends);
      if (request.to === "gone") {
        return { backend: request.backend, result: "failed", route: "1", detail: "it does not answer" };
      }
      return {
        backend: request.backend,
        result: "switched",
        route: request.to,
        detail: `over route ${request.to}`,
      };
    },
    async logs({ backend }, signal) {
      calls.push({ name: "logs", request: backend, signal });
      selectBackends([backend], backends);
      return { lines: [`${backend} started`, "listening"] };
    },
    async audit(request, signal) {
      calls.push({ name: "audit", request, signal });
      return sampleAudit();
    },
  };
}
