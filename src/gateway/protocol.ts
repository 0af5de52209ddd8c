// Constants of MCP: versions, log levels, methods and capabilities.
import { sha256Of } from "../runtime/files/sha256.ts";
import { errorReply, INVALID_REQUEST, isJsonObject, type JsonObject } from "./json-rpc.ts";

/** Newest first. The gateway offers the first one to backends. */
export const LEGACY_VERSIONS = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] as const;
const KNOWN_VERSIONS: ReadonlySet<unknown> = new Set(LEGACY_VERSIONS);
export type ProtocolVersion = (typeof LEGACY_VERSIONS)[number];
export const LATEST_VERSION: ProtocolVersion = "2025-11-25";

/**
 * The stateless version: each request carries the session's data in its `_meta`. Internally, the gateway uses
 * 2025-11-25.
 */
export const MODERN_VERSION = "2026-07-28";
export type SpokenVersion = ProtocolVersion | typeof MODERN_VERSION;
/** Every version that clients may speak to the gateway. */
export const SERVED_VERSIONS: readonly SpokenVersion[] = [MODERN_VERSION, ...LEGACY_VERSIONS];

export const META = {
  protocolVersion: "io.modelcontextprotocol/protocolVersion",
  clientCapabilities: "io.modelcontextprotocol/clientCapabilities",
  clientInfo: "io.modelcontextprotocol/clientInfo",
  logLevel: "io.modelcontextprotocol/logLevel",
  subscriptionId: "io.modelcontextprotocol/subscriptionId",
  serverInfo: "io.modelcontextprotocol/serverInfo",
} as const;

/** The member of a method's params that MODERN_VERSION repeats in the header Mcp-Name. */
export const NAMED_BY: ReadonlyMap<string, string> = new Map([
  ["tools/call", "name"],
  ["prompts/get", "name"],
  ["resources/read", "uri"],
  ["tasks/get", "taskId"],
  ["tasks/update", "taskId"],
  ["tasks/cancel", "taskId"],
]);

/** The specification's methods that may be sent twice without harm. A server's own methods may do anything. */
export const IDEMPOTENT: ReadonlySet<string> = new Set([
  ...["ping", "server/discover", "completion/complete"],
  ...["tools/list", "prompts/list", "prompts/get"],
  ...["resources/list", "resources/templates/list", "resources/read"],
  ...["tasks/get", "tasks/list", "tasks/result"],
  ...["notifications/initialized", "notifications/cancelled", "notifications/progress"],
  "notifications/roots/list_changed",
]);

/** Error of MODERN_VERSION: a header is missing or malformed, or contradicts the body. */
export const HEADER_MISMATCH = -32020;
/** `data.requiredCapabilities`: the capabilities that the client must declare. */
export const MISSING_CAPABILITY = -32021;
/**
 * Error of MODERN_VERSION for an unsupported protocol version, with `data.supported` and `data.requested`.
 */
export const UNSUPPORTED_VERSION = -32022;

/** Whether the request's `_meta` names a protocol version: only MODERN_VERSION and later ones do. */
export function isModern(params: JsonObject | undefined): boolean {
  const meta = params?.["_meta"];
  return isJsonObject(meta) && Object.hasOwn(meta, META.protocolVersion);
}

export function isProtocolVersion(text: unknown): text is ProtocolVersion {
  return KNOWN_VERSIONS.has(text);
}

/** From the least to the most severe level of RFC 5424. */
export const LOG_LEVELS = [
  "debug",
  "info",
  "notice",
  "warning",
  "error",
  "critical",
  "alert",
  "emergency",
] as const;
const KNOWN_LEVELS: ReadonlySet<unknown> = new Set(LOG_LEVELS);
export type McpLogLevel = (typeof LOG_LEVELS)[number];

export function isLogLevel(text: unknown): text is McpLogLevel {
  return KNOWN_LEVELS.has(text);
}

/** The lists whose changes are announced by notifications. */
export type ListKind = "tools" | "resources" | "prompts";
export const LIST_KINDS: readonly ListKind[] = ["tools", "resources", "prompts"];

/**
 * Member of `_meta` in a handover's notice: the lists that the client knows. The bridge returns them with `initialize`,
 * so that the next daemon reports only lists that differ.
 */
export const KNOWN_LISTS = "mountaineer/lists";

export const LIST_CHANGED: Readonly<Record<ListKind, string>> = {
  tools: "notifications/tools/list_changed",
  resources: "notifications/resources/list_changed",
  prompts: "notifications/prompts/list_changed",
};

export const RESOURCE_UPDATED = "notifications/resources/updated";

/** Extension of MCP Apps. */
export const APPS_EXTENSION = "io.modelcontextprotocol/ui";

/** Extension of tasks (SEP-2663) of MODERN_VERSION. The tasks of 2025-11-25 differ, but have the same method names. */
export const TASKS_EXTENSION = "io.modelcontextprotocol/tasks";
/** The notice to a client that has subscribed to a task: the task has changed. */
export const TASK_NOTICE = "notifications/tasks";
/** Our own notice to a client: it must subscribe to its tasks again. */
export const TASKS_LOST = "notifications/mountaineer/tasks_lost";
/** Our own methods, which no client sends: begin and end listening for one task. */
export const WATCH_TASK = "tasks/watch";
export const UNWATCH_TASK = "tasks/unwatch";

export function declaresTasks(capabilities: JsonObject | undefined): boolean {
  return declares(capabilities, TASKS_EXTENSION);
}

/** Whether a client shows the pages of MCP Apps. */
export function declaresApps(capabilities: JsonObject): boolean {
  return declares(capabilities, APPS_EXTENSION);
}

function declares(capabilities: JsonObject | undefined, extension: string): boolean {
  const extensions = capabilities?.["extensions"];
  return isJsonObject(extensions) && isJsonObject(extensions[extension]);
}

/** The method by which a client of MODERN_VERSION subscribes to changes, and the notice that confirms its subscriptions. */
export const LISTEN = "subscriptions/listen";
export const LISTEN_ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
/** For each list: the member of LISTEN's params that subscribes to the list's changes. */
export const LISTEN_FLAGS: Readonly<Record<ListKind, string>> = {
  tools: "toolsListChanged",
  resources: "resourcesListChanged",
  prompts: "promptsListChanged",
};

/** Of a sign-in at this address of the gateway. */
export const elicitationIdOf = (address: string): string => sha256Of(address);

/** Whether the client accepts elicitations of the mode; null: it does not declare elicitation. */
export function takesElicitation({ elicitation }: JsonObject, mode: "form" | "url"): boolean | null {
  if (!isJsonObject(elicitation)) return null;
  // An empty object means forms: that is the declaration from before modes existed.
  return isJsonObject(elicitation[mode]) || (mode === "form" && !isJsonObject(elicitation["url"]));
}

/** The error with which a server of 2025-11-25 says that its user must visit a URL first. */
export const URL_ELICITATION_REQUIRED = -32042;

// The loop guard: detects that the gateway is configured as its own backend. Without the guard, the gateway would
// call itself without end.

const KEY = "mountaineer/gateway";

/**
 * Sent in `_meta` of the first request to each server: if the server is this gateway, it recognizes itself.
 */
export function loopGuard(): JsonObject {
  return { [KEY]: mark() };
}

/** The reply to an `initialize` or `server/discover` that this gateway has sent to itself. */
export const OWN_BACKEND = errorReply(
  INVALID_REQUEST,
  "the gateway cannot be its own server; remove this one from its configuration",
);

/** Whether the params of an `initialize` or `server/discover` come from this very gateway. */
export function isFromThisGateway(params: JsonObject | undefined): boolean {
  const meta = params?.["_meta"];
  return isJsonObject(meta) && meta[KEY] === mark();
}

/** Unique for this process: a later process with the same process id has another start time. */
function mark(): string {
  return `${process.pid}-${performance.timeOrigin}`;
}
