// Owns the shapes that cross the management API, and their `--json` twins. snake_case is the wire's spelling.
// Times are ISO 8601 UTC. contract-schemas.ts has the same shapes for zod, kept equal by the compiler; zod is not
// imported here, because whoever serves the API need not pay its 15 MB.
import type { ErrorCode } from "../runtime/errors.ts";

/** Every path of the management API begins with it; a breaking change of a shape below changes it. */
export const MANAGE_PREFIX = "/manage/v1";

/** What can be asked: the last part of the path, and its method. */
export const OPERATIONS = {
  status: "GET",
  verify: "POST",
  reconcile: "POST",
  mount: "POST",
  unmount: "POST",
  switch: "POST",
} as const;

/** What can be asked about the configuration, likewise. */
export const CONFIG_OPERATIONS = {
  sync: "GET",
  reload: "POST",
  config: "GET",
  "config/edit": "POST",
  "config/text": "PUT",
  "config/history": "GET",
  "config/rollback": "POST",
} as const;

/** What can be asked of the gateway, likewise. */
export const GATEWAY_OPERATIONS = {
  tools: "GET",
  call: "POST",
  "backends/restart": "POST",
  "backends/logs": "POST",
} as const;

/** What can be asked about the places by which people reach shares, likewise. */
export const PLACE_OPERATIONS = {
  aliases: "GET",
  "aliases/reconcile": "POST",
  folders: "POST",
} as const;

/** The stream of events: server-sent events, beside the operations because it does not end. */
export const EVENT_STREAM_PATH = `${MANAGE_PREFIX}/events/stream`;
/** How often a stream that says nothing shows that it lives; a client takes three times this for a hang. */
export const HEARTBEAT_MS = 15_000;

export type OperationName = keyof typeof OPERATIONS;

export type RouteName = "tb" | "fallback";
export type SwitchTarget = "tb" | "fallback" | "auto";

/** A standing problem, or a fact worth showing; one list for every face. */
export interface Condition {
  code: string;
  severity: "info" | "warning" | "error";
  title: string;
  hint: string | null;
  since: string;
  /** Processes that hold files, where the condition is about open files. */
  holders?: OpenFileHolder[];
}

export interface OpenFileHolder {
  pid: number;
  command: string;
  path: string;
}

export interface ShareStatus {
  name: string;
  active_interface: RouteName | "none";
  mount_state: "mounted" | "unmounted" | "error";
  mount_path: string;
  stable_path: string;
  tb_host: string | null;
  fb_host: string | null;
  tb_reachable: boolean;
  fb_reachable: boolean;
  mount_alive: boolean;
  tb_recovery_pending: boolean;
  held: "fallback" | "unmounted" | null;
  last_error: string | null;
  last_switch_at: string | null;
  tb_reachable_since: string | null;
  tb_healthy_since: string | null;
  /** How the share is carried; absent while it is mounted over its route, or not at all. */
  carried?: CarriedStatus;
  conditions: Condition[];
}

/** A mount that stays while its route moves beneath it. */
export interface CarriedStatus {
  /** Of 127.0.0.1. */
  port: number;
  /**
   * `carrying`: the route is in use; `waiting`: no route answers, programs wait; `unconfirmed`: the server was away and
   * is being proved; `refusing`: no route for longer than `outage_patience_secs`, programs get errors.
   */
  phase: "carrying" | "waiting" | "unconfirmed" | "refusing";
  /** Open now, and since the share was mounted. */
  connections: number;
  connections_in_all: number;
  bytes_to_server: number;
  bytes_from_server: number;
  /** The longest that a request or a connection has waited, ms. */
  longest_wait_ms: number;
  moves: number;
}

/** A link to a folder inside a share. */
export interface AliasStatus {
  name: string;
  share: string;
  /** From the share's root. */
  target_subpath: string;
  /** Where the link is. */
  path: string;
  /** Where it leads. Whether the folder is there is not looked at. */
  target: string;
  /**
   * `missing`: it is made with the next look of a daemon; `taken`: something that is not ours stands there;
   * `blocked`: it cannot be made or looked at, `detail` says why.
   */
  link: "right" | "missing" | "taken" | "blocked";
  /** What stands in the way; null when nothing does. */
  detail: string | null;
}

export interface AliasReport {
  /** In the file's order. */
  aliases: AliasStatus[];
}

/** The body of folders. */
export interface FoldersRequest {
  share: string;
  /** From the share's root; absent or "" is the root itself. */
  subpath?: string;
}

export interface FoldersReport {
  share: string;
  subpath: string;
  /** Where it is: below the share's stable link. */
  path: string;
  /** Names of the folders in it, sorted. */
  folders: string[];
  /** There are more than are listed. */
  truncated: boolean;
}

export interface GlobalStatus {
  version: string;
  /** null when no daemon runs and the answer was made in process. */
  pid: number | null;
  started_at: string | null;
  config_path: string;
  home: string;
  check_interval_secs: number;
  auto_failback: boolean;
  auto_failback_stable_secs: number;
  lsof_recheck: boolean;
  network_events: "rtnetlink" | "scdynamicstore" | "scutil" | "polling" | "off";
  conditions: Condition[];
}

/** The gateway, when one is configured. */
export interface GatewayStatus {
  /** `http://127.0.0.1:9000/mcp`; null while it does not listen. */
  url: string | null;
  sessions: number;
  /** Client requests that have no answer yet. */
  in_flight: number;
  tools: number;
  resources: number;
  resource_templates: number;
  prompts: number;
  conditions: Condition[];
}

export interface BackendStatus {
  name: string;
  group: string | null;
  type: "stdio" | "streamable-http";
  enabled: boolean;
  phase: "Pending" | "Initializing" | "Ready" | "Degraded" | "Failed" | "ShuttingDown";
  /** Why it is in that phase; null when there is nothing to say. */
  reason: string | null;
  /** Of the phase. */
  since: string;
  pid: number | null;
  /** What the server says it is. */
  server: { name: string; version: string } | null;
  protocol_version: string | null;
  /** Processes or connections there are: the serving one, one being made, drained ones, one per client. */
  instances: number;
  in_flight: number;
  /** Calls that an old instance still finishes. */
  draining: number;
  /** Unwanted ends so far. */
  restarts: number;
  retry_at: string | null;
  last_error: string | null;
  /** What is published of it. */
  tools: number;
  resources: number;
  prompts: number;
  /** Tools that its filters keep back; absent: none. */
  withheld_tools?: number;
  conditions: Condition[];
}

export interface StatusReport {
  global: GlobalStatus;
  shares: ShareStatus[];
  /** Absent when none is configured. */
  aliases?: AliasStatus[];
  /** Absent when neither a backend nor `[server]` is configured. */
  gateway?: GatewayStatus;
  /** Present with `gateway`. */
  backends?: BackendStatus[];
}

/** One published tool. */
export interface ToolEntry {
  name: string;
  backend: string;
  /** What its server calls it. */
  original_name: string;
  description: string | null;
  /** JSON Schema. */
  input_schema: Record<string, unknown>;
}

export interface ToolsReport {
  tools: ToolEntry[];
}

/** The body of call. */
export interface CallRequest {
  tool: string;
  /** Default {}. */
  arguments?: Record<string, unknown>;
}

/** What the tool answered: MCP's CallToolResult as it came, or the error. */
export interface CallReport {
  result: Record<string, unknown> | null;
  error: { code: number; message: string; data?: unknown } | null;
}

/** The body of backends/restart; absent or null means all of them. */
export interface BackendsRequest {
  backends?: string[] | null;
}

export interface RestartReport {
  /** Names of those that are started anew; they serve until the new ones are ready. */
  restarted: string[];
}

/** The body of backends/logs. */
export interface BackendLogsRequest {
  backend: string;
}

export interface BackendLogsReport {
  /** What the server wrote beside the protocol, oldest first; at most 200 lines. */
  lines: string[];
}

export interface VerifyFinding {
  share: string | null;
  severity: "warning" | "error";
  code: string;
  text: string;
  hint: string | null;
}

export interface VerifyReport {
  ok: boolean;
  findings: VerifyFinding[];
  /** How many; absent from an older daemon. */
  looked_at?: { shares: number; backends: number } | undefined;
}

/** What a changing command did for one share. */
export interface StepResult {
  share: string;
  result: "mounted" | "unmounted" | "switched" | "skipped" | "busy" | "pending" | "failed";
  active_interface: RouteName | "none";
  /** One line for people, without the share's name: "mounted over Thunderbolt (//10.0.0.2/CORE)". */
  detail: string;
  hint: string | null;
  /** Who holds files, when busy. */
  holders: OpenFileHolder[];
  /** Unsent files, when they are why. */
  unsent: string[];
}

/** The body of verify, reconcile and mount. `shares` absent or null means all of them. */
export interface ShareRequest {
  shares?: string[] | null;
}

/** The body of unmount. `force` defaults to false. */
export interface UnmountRequest extends ShareRequest {
  force?: boolean;
}

/** The body of switch. `force` and `wait` default to false. */
export interface SwitchRequest extends ShareRequest {
  to: SwitchTarget;
  force?: boolean;
  wait?: boolean;
}

/** What reconcile, mount, unmount and switch answer. */
export interface StepReport {
  results: StepResult[];
}

/** The body of every answer that is not a 200. */
export interface ErrorBody {
  error: { code: ErrorCode; message: string; hint: string | null };
}

/** `<home>/daemon.json`: where the running daemon listens. */
export interface DaemonNote {
  pid: number;
  socket: string;
  /** Where an MCP client speaks lines of JSON-RPC with the gateway; absent while there is none. */
  mcp_socket?: string;
  version: string;
  started_at: string;
}

/** What became of one change of the configuration file. */
export interface SyncEvent {
  /** Grows by one with each event of this daemon. */
  id: number;
  /** Local wall time, `14:32:05`. */
  time: string;
  iso: string;
  /** The generation that runs after it. */
  generation: number;
  type: "changed" | "no-change" | "error";
  details: string;
}

export interface SyncSettingsWire {
  enabled: boolean;
  /** Seconds. */
  poll_interval: number;
  /** Seconds. */
  debounce: number;
  detection: "mtime" | "hash" | "inotify";
  on_failure: "backoff" | "fixed" | "stop";
}

export interface SyncReport {
  config_path: string;
  /** SHA-256 of the content that runs. */
  sha256: string;
  generation: number;
  /** Whether the file is watched: `stopped` after a failure under `on_failure = "stop"`, `off` by `enabled`. */
  watching: "live" | "idle" | "stopped" | "off";
  /** When the file was last found changed, or reloaded by hand. */
  last_sync: string | null;
  last_error: { kind: string; reason: string; since: string } | null;
  /** Set while the detector asked for cannot work, and polling stands in: why. */
  degraded: string | null;
  /** The file is watched and not there: what was loaded runs on. */
  file_missing: boolean;
  settings: SyncSettingsWire;
  /** The newest, oldest first; at most 1,000. */
  events: SyncEvent[];
}

export interface ConfigMistakeWire {
  file: string;
  line: number;
  column: number;
  path: string;
  found: string;
  expected: string;
  hint: string | null;
}

export interface NameChanges {
  added: string[];
  removed: string[];
  changed: string[];
}

/** What a reload did, or with `dry_run` would do. */
export interface ReloadReport {
  /** False: the file means what runs already, or was rejected. */
  reloaded: boolean;
  dry_run: boolean;
  generation: number;
  sha256: string;
  /** Keys of `[global]`, `[sync]` and `[server]` that differ, and aliases: `global.check_interval_secs`, `aliases.docs`. */
  settings: string[];
  shares: NameChanges;
  backends: NameChanges;
  middleware: string[];
  /** Why it was rejected; what ran before runs on. */
  errors: ConfigMistakeWire[];
  /** Why it failed for another reason: unreadable, or it could not be applied. */
  failure: string | null;
  /** One line for people: "1 share reloaded". */
  summary: string;
}

export interface ReloadRequest {
  dry_run?: boolean;
}

/** The configuration file as it stands. */
export interface ConfigReport {
  path: string;
  format: "toml" | "yaml";
  /** Of the text below, which may not be the one that runs. */
  sha256: string;
  text: string;
  running_sha256: string;
}

/** One change of the configuration file. */
export type ConfigEditWire =
  /** `value` is TOML, else taken as a string; null unsets the key. */
  | { key: string; value: string | null }
  /** A new block of that list, with its keys. */
  | { add: "shares" | "aliases"; entry: Record<string, string> }
  /** The block of that name. */
  | { remove: "shares" | "aliases"; name: string };

export interface EditRequest {
  /** In order. */
  edits: ConfigEditWire[];
  /** The content that was edited; another one underneath is refused. Absent: whatever is there. */
  expected_sha256?: string;
  /** Who edits: "cli", "tui", "api". */
  source: string;
}

/** Replaces the whole text, as an editor does. */
export interface EditTextRequest {
  text: string;
  expected_sha256: string;
  source: string;
}

export interface EditReport {
  /** False: the file said so already. */
  changed: boolean;
  path: string;
  sha256: string;
  /** Nothing was written when this is not empty. */
  errors: ConfigMistakeWire[];
  reload: ReloadReport | null;
}

export interface HistoryEntry {
  /** 0 is the content that runs. */
  n: number;
  time: string;
  sha256: string;
  source: string;
  summary: string;
}

export interface HistoryReport {
  /** Newest first. */
  entries: HistoryEntry[];
}

export interface RollbackRequest {
  /** Default 1. */
  n?: number;
  /** Hash of the entry that was number `n` when listed; `config_changed` if `n` is another entry now. */
  sha256?: string;
  /** Of the file that was seen; `config_changed` when it is another one by now. */
  expected_sha256?: string;
}

/** One message of the event stream; `id` is its SSE id, unique and growing within one daemon's life. */
export type StreamEvent =
  | { kind: "sync"; event: SyncEvent }
  | { kind: "sync_state"; sync: Omit<SyncReport, "events"> }
  /** A transition as it is logged, by its name. */
  | { kind: "transition"; transition: { name: string } & Record<string, unknown> }
  /** Events were lost to this listener: it was too slow, or asked for ones no longer kept. Look afresh. */
  | { kind: "gap" };
