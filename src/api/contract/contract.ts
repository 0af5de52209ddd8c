// Shapes of the management API's answers and of `--json` outputs, such as status and conditions. The wire uses
// snake_case, and ISO 8601 UTC for times.

import type { globalKeys } from "../../config/schema/share-schema.ts";
import {
  anything,
  both,
  choice,
  flag,
  jsonObject,
  list,
  nullable,
  number,
  object,
  optional,
  type TypeOf,
  text,
  union,
} from "../../runtime/shape.ts";
import { sectionShape, syncEventShape, syncStateShape } from "./config.ts";

/** The prefix of all paths of the management API. A breaking change of a shape needs another version. */
export const MANAGE_PREFIX = "/manage/v1";

/**
 * Path of the stream of server-sent events. The table of operations lacks this path, because the answer never
 * ends.
 */
export const EVENT_STREAM_PATH = `${MANAGE_PREFIX}/events/stream`;
/**
 * Time between heartbeats of the event stream, ms. A client assumes a hang after three times this without
 * data.
 */
export const HEARTBEAT_MS = 15_000;

export type RouteName = "tb" | "fallback";
const routeOrNone = choice("tb", "fallback", "none");

const openFileHolderShape = object({
  pid: number,
  command: text,
  path: text,
});
export type OpenFileHolder = TypeOf<typeof openFileHolderShape>;

/** A problem or fact that lasts. Every user interface shows the same list of conditions. */
export const conditionShape = object({
  code: text,
  severity: choice("info", "warning", "error"),
  title: text,
  hint: nullable(text),
  since: text,
  /** What it comes from, in words that do not name its subject: servers with equal causes have one trouble. */
  cause: optional(object({ text, hint: nullable(text) })),
  /** The required share that is away, for a condition of a server. */
  share: optional(text),
  /** Processes with open files, if the condition is about open files. */
  holders: optional(list(openFileHolderShape)),
});
export type Condition = TypeOf<typeof conditionShape>;

/** A mount that moves: it stays mounted while its program changes the route. */
const movesStatusShape = object({
  /**
   * `serving`: programs are served; `waiting`: no route leads to the server, programs wait; `over`: they have waited for
   * `outage_patience_secs`, and get errors; `refused`: the server refuses the login; `away`: this machine is on another network;
   * `unheard`: the mount's program has not reported yet.
   */
  phase: choice("unheard", "serving", "waiting", "over", "refused", "away"),
  /** Route changes since the share was mounted. */
  count: number,
  /** Connections that are open now; `connections_in_all` counts every connection since the share was mounted. */
  connections: number,
  connections_in_all: number,
  bytes_to_server: number,
  bytes_from_server: number,
  /** The longest wait of a request, ms. */
  longest_wait_ms: number,
  /** Files and folders that programs have open. */
  open_files: number,
});
export type MovesStatus = TypeOf<typeof movesStatusShape>;

/** The rule that applies to a share or a backend now, and why each other rule takes no step. `until`: when that rule is due. */
export const explanationShape = object({
  rule: text,
  why: text,
  passed_over: list(object({ rule: text, why: text, until: nullable(text) })),
});
export type ExplanationReport = TypeOf<typeof explanationShape>;

/** The kinds of links. */
export const deviceKinds = choice("thunderbolt", "wired", "unknown", "wifi", "tunnel");

/** `text`, for people: "Thunderbolt bridge, 40 Gbit/s"; `speed`: Mbit/s, null if it is not known. */
const routeLinkShape = object({ device: text, kind: deviceKinds, text, speed: nullable(number) });
export type RouteDevice = TypeOf<typeof routeLinkShape>;

export const shareStatusShape = object({
  name: text,
  active_interface: routeOrNone,
  mount_state: choice("mounted", "unmounted", "error"),
  mount_path: text,
  stable_path: text,
  tb_host: nullable(text),
  fb_host: nullable(text),
  tb_reachable: flag,
  fb_reachable: flag,
  /** Why the host does not answer; absent: it answers, was not asked, or there is no such route. */
  tb_error: optional(text),
  fb_error: optional(text),
  /** The links that lead to the hosts; absent: not known. */
  tb_link: optional(routeLinkShape),
  fb_link: optional(routeLinkShape),
  /** The address that the mount uses, if the host of its route has another one by now. */
  address_in_use: optional(text),
  /** Whether programs can use the mount now. `mount_state` is `error` if the mount is proved to be dead. */
  mount_alive: flag,
  tb_recovery_pending: flag,
  override: nullable(choice("fallback", "unmounted")),
  last_error: nullable(text),
  last_switch_at: nullable(text),
  tb_reachable_since: nullable(text),
  tb_healthy_since: nullable(text),
  /** Absent for a share that is remounted when its route changes. */
  moves: optional(movesStatusShape),
  /** Over the last ten seconds; absent for a share that is remounted when its route changes. */
  bytes_per_sec: optional(number),
  /** The room on the share; absent: not known. */
  space: optional(object({ free_bytes: number, total_bytes: number })),
  conditions: list(conditionShape),
  /** Absent: nothing was decided yet. */
  explanation: optional(explanationShape),
  /** The NAS from which it has its hosts and login, by its name in the file; absent: it has them itself. */
  nas: optional(text),
});
export type ShareStatus = TypeOf<typeof shareStatusShape>;

/** A link to a folder inside a share. */
export const aliasStatusShape = object({
  name: text,
  share: text,
  /** From the share's root. */
  target_subpath: text,
  /** The link's own path. */
  path: text,
  /** The link's target, which may not exist. */
  target: text,
  /**
   * `missing`: the daemon makes the link at its next check; `taken`: the path has something that Mountaineer
   * did not make; `blocked`: the link cannot be made or read, and `detail` says why.
   */
  link: choice("right", "missing", "taken", "blocked"),
  /** Why the link cannot be made or read, or what is at its path; null: there is no problem. */
  detail: nullable(text),
});
export type AliasStatus = TypeOf<typeof aliasStatusShape>;

export const aliasReportShape = object({
  /** In the file's order. */
  aliases: list(aliasStatusShape),
});

export const daemonStatusShape = object({
  version: text,
  /** null: no daemon runs, and the command itself made this status. */
  pid: nullable(number),
  started_at: nullable(text),
  config_path: text,
  home: text,
  network_events: choice("rtnetlink", "scdynamicstore", "polling", "off"),
  /** true: `[fleet]` is configured. */
  in_fleet: optional(flag),
  conditions: list(conditionShape),
});
const globalStatusShape = both(daemonStatusShape, sectionShape<typeof globalKeys>("global"));
export type GlobalStatus = TypeOf<typeof globalStatusShape>;

export const gatewayStatusShape = object({
  /** `http://127.0.0.1:9000/mcp`; null while it does not listen. */
  url: nullable(text),
  sessions: number,
  in_flight: number,
  tools: number,
  resources: number,
  resource_templates: number,
  prompts: number,
  /** The programs of backends; absent: none is configured, or no daemon runs. */
  programs: optional(
    object({
      running: number,
      /** Not running because no client needs them; a call starts them. */
      asleep: number,
      /** Private memory of the running instances; null: not measured. */
      memory_mb: nullable(number),
    }),
  ),
  conditions: list(conditionShape),
});
export type GatewayStatus = TypeOf<typeof gatewayStatusShape>;

const backendRouteShape = object({
  name: text,
  type: choice("stdio", "streamable-http", "fleet"),
  /** The address, or the program with its arguments; without secrets. */
  target: text,
  in_use: flag,
  /**
   * Since when a standby instance has answered over this route without a failure; null: no standby instance
   * is ready.
   */
  healthy_since: nullable(text),
  /**
   * The earliest time at which the backend may switch back to this route; null while the route is not
   * healthy.
   */
  stable_at: nullable(text),
  retry_at: nullable(text),
  last_error: nullable(text),
});
export type BackendRouteStatus = TypeOf<typeof backendRouteShape>;

const backendRoutesShape = object({
  in_use: nullable(text),
  /** The route that a person chose for the backend; null: the daemon chooses. */
  override: nullable(text),
  /** A better route that is ready, and why the backend does not switch back yet; null: there is none. */
  recovery_pending: nullable(object({ route: text, reason: text })),
  /** In order of preference. */
  list: list(backendRouteShape),
});
export type BackendRoutesStatus = TypeOf<typeof backendRoutesShape>;

export const backendStatusShape = object({
  name: text,
  group: nullable(text),
  /** `fleet`: a backend of another machine; its name is BACKEND@MACHINE. */
  type: choice("stdio", "streamable-http", "fleet"),
  enabled: flag,
  phase: choice("Pending", "Initializing", "Ready", "Asleep", "Degraded", "Failed", "ShuttingDown"),
  /** The reason for the phase; null without one. */
  reason: nullable(text),
  /** The start of the phase. */
  since: text,
  pid: nullable(number),
  server: nullable(object({ name: text, version: text })),
  protocol_version: nullable(text),
  /**
   * Number of the backend's processes or connections: serving, starting and draining ones, and one per client
   * if the backend is configured so.
   */
  instances: number,
  in_flight: number,
  /** Calls in flight without an answer or progress for 10 s or longer; absent: none. */
  waiting_calls: optional(object({ count: number, longest_ms: number })),
  /** Calls in flight on old instances. */
  draining: number,
  /** Calls since the daemon's start; `errors` counts those that failed. */
  calls: number,
  errors: number,
  /** Percentiles of the last five minutes' calls, ms; null without calls. */
  latency_ms: nullable(object({ p50: number, p99: number })),
  /** Calls of the last five minutes; absent: none. */
  recent: optional(object({ calls: number, errors: number })),
  /** How often the backend ended unexpectedly. */
  restarts: number,
  retry_at: nullable(text),
  last_error: nullable(text),
  /** Numbers of published entries. */
  tools: number,
  resources: number,
  prompts: number,
  /** Tools that the backend's filters leave out; absent: none. */
  withheld_tools: optional(number),
  /** Absent for a backend with a single route. */
  routes: optional(backendRoutesShape),
  conditions: list(conditionShape),
  /** Absent: nothing was decided yet. */
  explanation: optional(explanationShape),
});
export type BackendStatus = TypeOf<typeof backendStatusShape>;

export const statusReportShape = object({
  global: globalStatusShape,
  shares: list(shareStatusShape),
  /** Absent if none is configured. */
  aliases: optional(list(aliasStatusShape)),
  /** Absent if neither a backend nor `[server]` is configured. */
  gateway: optional(gatewayStatusShape),
  /** Present with `gateway`. */
  backends: optional(list(backendStatusShape)),
});
export type StatusReport = TypeOf<typeof statusReportShape>;

/** A client that is connected now. */
export const clientShape = object({
  /** The client's own name. */
  name: text,
  version: nullable(text),
  /** The client's principal: the name of a user, `anonymous`, `owner`, `fleet:MACHINE`. */
  user: text,
  /** The group of the address at which the client is connected; null: the address of all backends. */
  group: nullable(text),
  /** Its MCP protocol version. */
  protocol: text,
  /** `fleet`: another machine, on behalf of its clients. */
  transport: choice("http", "sse", "stdio", "fleet"),
  /** When the client connected, or reconnected after a restart. */
  since: text,
  /** When it last sent a request. */
  last_heard: text,
  /** True: nothing came for five minutes, and no stream or call is open. */
  idle: optional(flag),
  /** Calls of tools, prompts and resources. */
  calls: number,
  last_error: nullable(object({ time: text, message: text })),
  /** True: the client may run scripts. Absent: it may not. */
  runs_scripts: optional(flag),
});
export type ClientStatus = TypeOf<typeof clientShape>;

export const toolEntryShape = object({
  name: text,
  backend: text,
  /** The server's own name of the tool. */
  original_name: text,
  description: nullable(text),
  /** JSON Schema. */
  input_schema: jsonObject,
});
export type ToolEntry = TypeOf<typeof toolEntryShape>;

export const toolsReportShape = object({
  tools: list(toolEntryShape),
  /** Tools that a person switched off, with the names that clients would use. */
  off: optional(list(object({ name: text, backend: text }))),
});
export type ToolsReport = TypeOf<typeof toolsReportShape>;

/** The tool's unchanged CallToolResult (MCP), or the error. */
export const callReportShape = object({
  result: nullable(jsonObject),
  error: nullable(object({ code: number, message: text, data: optional(anything) })),
});
export type CallReport = TypeOf<typeof callReportShape>;

export const handOverReportShape = object({
  /** Pids of the previous and the next daemon. */
  from: number,
  to: number,
  /** The next daemon's version. */
  version: text,
});
export type HandOverReport = TypeOf<typeof handOverReportShape>;
export const backendSwitchReportShape = object({
  backend: text,
  result: choice("switched", "skipped", "failed"),
  /** The route that serves now; null: none. */
  route: nullable(text),
  /** One line for people, without the backend's name. */
  detail: text,
});
export type BackendSwitchReport = TypeOf<typeof backendSwitchReportShape>;

export const verifyFindingShape = object({
  share: nullable(text),
  severity: choice("warning", "error"),
  code: text,
  text,
  hint: nullable(text),
});
export type VerifyFinding = TypeOf<typeof verifyFindingShape>;

export const verifyReportShape = object({
  ok: flag,
  findings: list(verifyFindingShape),
  /** Numbers of checked entries. */
  checked: object({ shares: number, backends: number }),
});
export type VerifyReport = TypeOf<typeof verifyReportShape>;

export const stepResultShape = object({
  share: text,
  result: choice("mounted", "unmounted", "switched", "skipped", "busy", "pending", "failed"),
  active_interface: routeOrNone,
  /** One line for people, without the share's name: "mounted over Thunderbolt (//10.0.0.2/CORE)". */
  detail: text,
  hint: nullable(text),
  /** Processes with open files, if the result is `busy`. */
  holders: list(openFileHolderShape),
});
export type StepResult = TypeOf<typeof stepResultShape>;

export const stepReportShape = object({
  results: list(stepResultShape),
});
export type StepReport = TypeOf<typeof stepReportShape>;

/** Traffic counters since the daemon's start, sent only to listeners with `?flow`. */
const flowEventShape = object({
  kind: choice("flow"),
  /** Bytes of shares that move. */
  shares: list(object({ name: text, to_server: number, from_server: number })),
  backends: list(object({ name: text, calls: number })),
  /** Connected clients, summed by name. */
  clients: list(object({ name: text, sessions: number, calls: number })),
});
export type FlowEvent = TypeOf<typeof flowEventShape>;

/** One message of the event stream; `id` is its SSE id, unique and growing within one daemon's life. */
export const streamEventShape = union(
  object({ kind: choice("sync"), event: syncEventShape }),
  object({ kind: choice("sync_state"), sync: syncStateShape }),
  /** A transition with its fields, as in the log. */
  object({ kind: choice("transition"), transition: both(object({ name: text }), jsonObject) }),
  /** This listener missed events, because it was too slow or the events are no longer kept: read the state again. */
  object({ kind: choice("gap") }),
  /** Traffic counters have no id, and are not replayed. */
  flowEventShape,
);
export type StreamEvent = TypeOf<typeof streamEventShape>;
