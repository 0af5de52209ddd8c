// The shapes of what the management API answers, and of the `--json` outputs. snake_case is the wire's spelling. Times are
// ISO 8601 UTC.

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
} from "../runtime/shape.ts";
import { toolPlacesShape } from "./catalog-contract.ts";

/** Every path of the management API begins with it; a breaking change of a shape below changes it. */
export const MANAGE_PREFIX = "/manage/v1";

/** The stream of events: server-sent events, beside the operations because it does not end. */
export const EVENT_STREAM_PATH = `${MANAGE_PREFIX}/events/stream`;
/** How often a stream that says nothing shows that it lives; a client takes three times this for a hang. */
export const HEARTBEAT_MS = 15_000;

export type RouteName = "tb" | "fallback";
const routeOrNone = choice("tb", "fallback", "none");

const openFileHolderShape = object({
  pid: number,
  command: text,
  path: text,
});
export type OpenFileHolder = TypeOf<typeof openFileHolderShape>;

/** A standing problem, or a fact worth showing; one list for every face. */
export const conditionShape = object({
  code: text,
  severity: choice("info", "warning", "error"),
  title: text,
  hint: nullable(text),
  since: text,
  /** Processes that hold files, where the condition is about open files. */
  holders: optional(list(openFileHolderShape)),
});
export type Condition = TypeOf<typeof conditionShape>;

/** A mount that stays while its route moves beneath it. */
const carriedStatusShape = object({
  /** Of 127.0.0.1. */
  port: number,
  /**
   * `carrying`: the route is in use; `waiting`: no route answers, programs wait; `unconfirmed`: the server was away and
   * is being proved; `refusing`: no route for longer than `outage_patience_secs`, programs get errors.
   */
  phase: choice("carrying", "waiting", "unconfirmed", "refusing"),
  /** Open now, and since the share was mounted. */
  connections: number,
  connections_in_all: number,
  bytes_to_server: number,
  bytes_from_server: number,
  /** The longest that a request or a connection has waited, ms. */
  longest_wait_ms: number,
  moves: number,
});
export type CarriedStatus = TypeOf<typeof carriedStatusShape>;

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
  mount_alive: flag,
  tb_recovery_pending: flag,
  held: nullable(choice("fallback", "unmounted")),
  last_error: nullable(text),
  last_switch_at: nullable(text),
  tb_reachable_since: nullable(text),
  tb_healthy_since: nullable(text),
  /** How the share is carried; absent while it is mounted over its route, or not at all. */
  carried: optional(carriedStatusShape),
  conditions: list(conditionShape),
});
export type ShareStatus = TypeOf<typeof shareStatusShape>;

/** A link to a folder inside a share. */
export const aliasStatusShape = object({
  name: text,
  share: text,
  /** From the share's root. */
  target_subpath: text,
  /** Where the link is. */
  path: text,
  /** Where it leads. Whether the folder is there is not looked at. */
  target: text,
  /**
   * `missing`: it is made with the next look of a daemon; `taken`: something that is not ours stands there;
   * `blocked`: it cannot be made or looked at, `detail` says why.
   */
  link: choice("right", "missing", "taken", "blocked"),
  /** What stands in the way; null when nothing does. */
  detail: nullable(text),
});
export type AliasStatus = TypeOf<typeof aliasStatusShape>;

export const aliasReportShape = object({
  /** In the file's order. */
  aliases: list(aliasStatusShape),
});
export type AliasReport = TypeOf<typeof aliasReportShape>;

export const foldersReportShape = object({
  share: text,
  subpath: text,
  /** Where it is: below the share's stable link. */
  path: text,
  /** Names of the folders in it, sorted. */
  folders: list(text),
  /** There are more than are listed. */
  truncated: flag,
});
export type FoldersReport = TypeOf<typeof foldersReportShape>;

export const globalStatusShape = object({
  version: text,
  /** null when no daemon runs and the answer was made in process. */
  pid: nullable(number),
  started_at: nullable(text),
  config_path: text,
  home: text,
  check_interval_secs: number,
  auto_failback: flag,
  auto_failback_stable_secs: number,
  lsof_recheck: flag,
  network_events: choice("rtnetlink", "scdynamicstore", "scutil", "polling", "off"),
  conditions: list(conditionShape),
});
export type GlobalStatus = TypeOf<typeof globalStatusShape>;

/** The gateway, when one is configured. */
export const gatewayStatusShape = object({
  /** `http://127.0.0.1:9000/mcp`; null while it does not listen. */
  url: nullable(text),
  sessions: number,
  /** Client requests that have no answer yet. */
  in_flight: number,
  tools: number,
  resources: number,
  resource_templates: number,
  prompts: number,
  conditions: list(conditionShape),
});
export type GatewayStatus = TypeOf<typeof gatewayStatusShape>;

/** One way to a backend's server. */
const backendRouteShape = object({
  name: text,
  type: choice("stdio", "streamable-http", "fleet"),
  /** Its address, or its program with its arguments; without secrets. */
  target: text,
  in_use: flag,
  /** Since when an instance that stands by over it has answered without a gap. */
  healthy_since: nullable(text),
  /** When that is long enough to go back to it; null while it is not healthy. */
  stable_at: nullable(text),
  retry_at: nullable(text),
  last_error: nullable(text),
});
export type BackendRouteStatus = TypeOf<typeof backendRouteShape>;

/** The ways to a backend's server, where there are several. */
const backendRoutesShape = object({
  in_use: nullable(text),
  /** The route that a person holds it on. */
  held: nullable(text),
  /** A better route is ready, and going back to it waits: why. */
  recovery_pending: nullable(object({ route: text, reason: text })),
  /** In order of preference. */
  list: list(backendRouteShape),
});
export type BackendRoutesStatus = TypeOf<typeof backendRoutesShape>;

export const backendStatusShape = object({
  name: text,
  group: nullable(text),
  /** `fleet`: another machine's, which its name says: BACKEND@MACHINE. */
  type: choice("stdio", "streamable-http", "fleet"),
  enabled: flag,
  phase: choice("Pending", "Initializing", "Ready", "Degraded", "Failed", "ShuttingDown"),
  /** Why it is in that phase; null when there is nothing to say. */
  reason: nullable(text),
  /** Of the phase. */
  since: text,
  pid: nullable(number),
  /** What the server says it is. */
  server: nullable(object({ name: text, version: text })),
  protocol_version: nullable(text),
  /** Processes or connections there are: the serving one, one being made, drained ones, one per client. */
  instances: number,
  in_flight: number,
  /** Of these, those that have had neither an answer nor a sign of progress for 10 s or longer; absent: none. */
  waiting_calls: optional(object({ count: number, longest_ms: number })),
  /** Calls that an old instance still finishes. */
  draining: number,
  /** Since the daemon began, with those that failed: errors of the protocol, and of tools. Absent from an older daemon. */
  calls: optional(number),
  errors: optional(number),
  /** Of the calls answered in the last five minutes, ms; null: there are none. */
  latency_ms: optional(nullable(object({ p50: number, p99: number }))),
  /** Unwanted ends so far. */
  restarts: number,
  retry_at: nullable(text),
  last_error: nullable(text),
  /** What is published of it. */
  tools: number,
  resources: number,
  prompts: number,
  /** Tools that its filters keep back; absent: none. */
  withheld_tools: optional(number),
  /** Absent where there is one alone. */
  routes: optional(backendRoutesShape),
  /** Tools that it has in common with other machines, and where they are served; absent: none. */
  together: optional(object({ tools: number, places: toolPlacesShape })),
  conditions: list(conditionShape),
});
export type BackendStatus = TypeOf<typeof backendStatusShape>;

export const statusReportShape = object({
  global: globalStatusShape,
  shares: list(shareStatusShape),
  /** Absent when none is configured. */
  aliases: optional(list(aliasStatusShape)),
  /** Absent when neither a backend nor `[server]` is configured. */
  gateway: optional(gatewayStatusShape),
  /** Present with `gateway`. */
  backends: optional(list(backendStatusShape)),
});
export type StatusReport = TypeOf<typeof statusReportShape>;

/** A client that is connected now. */
export const clientShape = object({
  /** What it calls itself. */
  name: text,
  version: nullable(text),
  /** Who it came in as: the name of a user, `anonymous`, `owner`, `fleet:MACHINE`. */
  user: text,
  /** At whose address it came in; null: at that of everything. */
  group: nullable(text),
  /** The version of MCP that it speaks. */
  protocol: text,
  /** `fleet`: another machine, for its own clients. */
  transport: choice("http", "sse", "stdio", "fleet"),
  /** When it came, or after a restart came back. */
  since: text,
  /** Of tools, prompts and resources. */
  calls: number,
  last_error: nullable(object({ time: text, message: text })),
});
export type ClientStatus = TypeOf<typeof clientShape>;

/** One published tool. */
export const toolEntryShape = object({
  name: text,
  backend: text,
  /** What its server calls it. */
  original_name: text,
  description: nullable(text),
  /** JSON Schema. */
  input_schema: jsonObject,
  /** Where it is served; absent: where `backend` is. */
  places: optional(toolPlacesShape),
});
export type ToolEntry = TypeOf<typeof toolEntryShape>;

export const toolsReportShape = object({
  tools: list(toolEntryShape),
  /** Those that a person has switched off, by the names that they would have. */
  off: optional(list(object({ name: text, backend: text }))),
});
export type ToolsReport = TypeOf<typeof toolsReportShape>;

/** What the tool answered: MCP's CallToolResult as it came, or the error. */
export const callReportShape = object({
  result: nullable(jsonObject),
  error: nullable(object({ code: number, message: text, data: optional(anything) })),
});
export type CallReport = TypeOf<typeof callReportShape>;

export const handOverReportShape = object({
  /** The process that was in charge, and the one that takes over. */
  from: number,
  to: number,
  /** Of the new one. */
  version: text,
});
export type HandOverReport = TypeOf<typeof handOverReportShape>;
export const backendSwitchReportShape = object({
  backend: text,
  result: choice("switched", "skipped", "failed"),
  /** That serves now; null: none does. */
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
  /** How many; absent from an older daemon. */
  looked_at: optional(object({ shares: number, backends: number })),
});
export type VerifyReport = TypeOf<typeof verifyReportShape>;

/** What a changing command did for one share. */
export const stepResultShape = object({
  share: text,
  result: choice("mounted", "unmounted", "switched", "skipped", "busy", "pending", "failed"),
  active_interface: routeOrNone,
  /** One line for people, without the share's name: "mounted over Thunderbolt (//10.0.0.2/CORE)". */
  detail: text,
  hint: nullable(text),
  /** Who holds files, when busy. */
  holders: list(openFileHolderShape),
  /** Unsent files, when they are why. */
  unsent: list(text),
});
export type StepResult = TypeOf<typeof stepResultShape>;

/** What reconcile, mount, unmount and switch answer. */
export const stepReportShape = object({
  results: list(stepResultShape),
});
export type StepReport = TypeOf<typeof stepReportShape>;

/** Files that were written for one server and are not there yet. */
export const unsentServerShape = object({
  share: text,
  /** The server's id. */
  server: text,
  /** Where it was met last, `//HOST/SHARE`; null: not known. */
  source: nullable(text),
  /** False: nobody can tell which server it is. */
  proved: flag,
  /** It is the one that is mounted: they are being sent. */
  in_use: flag,
  /** When the oldest was written, ISO 8601 UTC; null: there is none any more. */
  oldest: nullable(text),
  files: list(object({ path: text, bytes: number, written_at: text })),
  /** Where their content is kept. */
  folder: text,
});
export type UnsentServer = TypeOf<typeof unsentServerShape>;

/** What became of one change of the configuration file. */
export const syncEventShape = object({
  /** Grows by one with each event of this daemon. */
  id: number,
  /** Local wall time, `14:32:05`. */
  time: text,
  iso: text,
  /** The generation that runs after it. */
  generation: number,
  type: choice("changed", "no-change", "error"),
  details: text,
});
export type SyncEvent = TypeOf<typeof syncEventShape>;

export const syncSettingsWireShape = object({
  enabled: flag,
  /** Seconds. */
  poll_interval: number,
  /** Seconds. */
  debounce: number,
  detection: choice("mtime", "hash", "inotify"),
  on_failure: choice("backoff", "fixed", "stop"),
});
export type SyncSettingsWire = TypeOf<typeof syncSettingsWireShape>;

const syncStateShape = object({
  config_path: text,
  /** SHA-256 of the content that runs. */
  sha256: text,
  generation: number,
  /** Whether the file is watched: `stopped` after a failure under `on_failure = "stop"`, `off` by `enabled`. */
  watching: choice("live", "idle", "stopped", "off"),
  /** When the file was last found changed, or reloaded by hand. */
  last_sync: nullable(text),
  last_error: nullable(object({ kind: text, reason: text, since: text })),
  /** Set while the detector asked for cannot work, and polling stands in: why. */
  degraded: nullable(text),
  /** The file is watched and not there: what was loaded runs on. */
  file_missing: flag,
  /** What waits for approval, an entry each, in a few words; absent: nothing. */
  waiting: optional(list(text)),
  settings: syncSettingsWireShape,
});

export const syncReportShape = object({
  ...syncStateShape.fields,
  /** The newest, oldest first; at most 1,000. */
  events: list(syncEventShape),
});
export type SyncReport = TypeOf<typeof syncReportShape>;

export const configMistakeWireShape = object({
  file: text,
  line: number,
  column: number,
  path: text,
  found: text,
  expected: text,
  hint: nullable(text),
});
export type ConfigMistakeWire = TypeOf<typeof configMistakeWireShape>;

const nameChangesShape = object({
  added: list(text),
  removed: list(text),
  changed: list(text),
});
export type NameChanges = TypeOf<typeof nameChangesShape>;

/** What a reload did, or with `dry_run` would do. */
export const reloadReportShape = object({
  /** False: what the file says runs already, or it was rejected. */
  reloaded: flag,
  dry_run: flag,
  generation: number,
  sha256: text,
  /** Keys of `[global]`, `[sync]` and `[server]` that differ, and aliases: `global.check_interval_secs`, `aliases.docs`. */
  settings: list(text),
  shares: nameChangesShape,
  backends: nameChangesShape,
  middleware: list(text),
  /** Entries that wait for approval then, by their ids; absent: none. */
  waiting: optional(list(text)),
  /** Why it was rejected; what ran before runs on. */
  errors: list(configMistakeWireShape),
  /** Why it failed for another reason: unreadable, or it could not be applied. */
  failure: nullable(text),
  /** One line for people: "1 share reloaded". */
  summary: text,
});
export type ReloadReport = TypeOf<typeof reloadReportShape>;

/** The configuration file as it stands. */
export const configReportShape = object({
  path: text,
  format: choice("toml", "yaml"),
  /** Of the text below, which may not be the one that runs. */
  sha256: text,
  text,
  running_sha256: text,
});
export type ConfigReport = TypeOf<typeof configReportShape>;

export const editReportShape = object({
  /** False: the file said so already. */
  changed: flag,
  path: text,
  sha256: text,
  /** Nothing was written when this is not empty. */
  errors: list(configMistakeWireShape),
  reload: nullable(reloadReportShape),
});
export type EditReport = TypeOf<typeof editReportShape>;

/** What a text would do as the configuration file; nothing is written. */
export const configCheckReportShape = object({
  /** Empty: it would be accepted. Lines and columns count from 1. */
  mistakes: list(configMistakeWireShape),
  /** As a reload with `dry_run` would tell it; null: it has mistakes. */
  would_change: nullable(reloadReportShape),
  /**
   * Ids of the entries that would wait for approval if another program wrote the text; who saves it by `config/text`
   * approves what they change.
   */
  waits_for_approval: list(text),
});
export type ConfigCheckReport = TypeOf<typeof configCheckReportShape>;

export const historyEntryShape = object({
  /** 0 is the content that runs. */
  n: number,
  time: text,
  sha256: text,
  source: text,
  summary: text,
});
export type HistoryEntry = TypeOf<typeof historyEntryShape>;

/** Counters since the daemon's start, which the page draws as they grow; only a listener that asks (`?flow`) hears of them. */
const flowEventShape = object({
  kind: choice("flow"),
  /** Of shares that are carried, bytes. */
  shares: list(object({ name: text, to_server: number, from_server: number })),
  backends: list(object({ name: text, calls: number })),
  /** That are connected, those with one name together. */
  clients: list(object({ name: text, sessions: number, calls: number })),
});
export type FlowEvent = TypeOf<typeof flowEventShape>;

/** One message of the event stream; `id` is its SSE id, unique and growing within one daemon's life. */
export const streamEventShape = union(
  object({ kind: choice("sync"), event: syncEventShape }),
  object({ kind: choice("sync_state"), sync: syncStateShape }),
  /** A transition as it is logged, by its name. */
  object({ kind: choice("transition"), transition: both(object({ name: text }), jsonObject) }),
  /** Events were lost to this listener: it was too slow, or asked for ones no longer kept. Look afresh. */
  object({ kind: choice("gap") }),
  /** Without an id, and never kept. */
  flowEventShape,
);
export type StreamEvent = TypeOf<typeof streamEventShape>;
