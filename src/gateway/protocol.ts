// What the gateway knows of MCP: versions, log levels, and the methods of change notices.
import { errorReply, INVALID_REQUEST, isJsonObject, type JsonObject } from "./json-rpc.ts";

/** Newest first; the first is what the gateway speaks towards backends. */
export const LEGACY_VERSIONS = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] as const;
const KNOWN_VERSIONS: ReadonlySet<unknown> = new Set(LEGACY_VERSIONS);
export type ProtocolVersion = (typeof LEGACY_VERSIONS)[number];
export const LATEST_VERSION: ProtocolVersion = "2025-11-25";

/** Stateless, with all that a request needs in its `_meta`. Spoken at the edges alone: inside it is 2025-11-25. */
export const MODERN_VERSION = "2026-07-28";
export type SpokenVersion = ProtocolVersion | typeof MODERN_VERSION;

/** The keys of `_meta` that MODERN_VERSION gives a meaning. */
export const META = {
  protocolVersion: "io.modelcontextprotocol/protocolVersion",
  clientCapabilities: "io.modelcontextprotocol/clientCapabilities",
  clientInfo: "io.modelcontextprotocol/clientInfo",
  logLevel: "io.modelcontextprotocol/logLevel",
  subscriptionId: "io.modelcontextprotocol/subscriptionId",
  serverInfo: "io.modelcontextprotocol/serverInfo",
} as const;

/** Which member of a method's params MODERN_VERSION repeats in the header Mcp-Name. */
export const NAMED_BY: ReadonlyMap<string, string> = new Map([
  ["tools/call", "name"],
  ["prompts/get", "name"],
  ["resources/read", "uri"],
  ["tasks/get", "taskId"],
  ["tasks/update", "taskId"],
  ["tasks/cancel", "taskId"],
]);

/** Errors of MODERN_VERSION: a header that is missing, malformed or not what the body says. */
export const HEADER_MISMATCH = -32020;
/** `data.requiredCapabilities` are those that the client would have to declare. */
export const MISSING_CAPABILITY = -32021;
/** `data.supported` and `data.requested`. */
export const UNSUPPORTED_VERSION = -32022;

/** Whether a request says by its `_meta` that it is of this version, or of a later one. */
export function isModern(params: JsonObject | undefined): boolean {
  const meta = params?.["_meta"];
  return isJsonObject(meta) && Object.hasOwn(meta, META.protocolVersion);
}

export function isProtocolVersion(text: unknown): text is ProtocolVersion {
  return KNOWN_VERSIONS.has(text);
}

/** Quietest last, as in RFC 5424 reversed. */
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

/** Which list a change notice is about. */
export type ListKind = "tools" | "resources" | "prompts";
export const LIST_KINDS: readonly ListKind[] = ["tools", "resources", "prompts"];

export const LIST_CHANGED: Readonly<Record<ListKind, string>> = {
  tools: "notifications/tools/list_changed",
  resources: "notifications/resources/list_changed",
  prompts: "notifications/prompts/list_changed",
};

export const RESOURCE_UPDATED = "notifications/resources/updated";

/** Extension of skills (SEP-2640): declared by servers alone, in either generation. */
export const SKILLS_EXTENSION = "io.modelcontextprotocol/skills";

/** Extension of tasks (SEP-2663) of MODERN_VERSION. The tasks of 2025-11-25 are others, under the same names. */
export const TASKS_EXTENSION = "io.modelcontextprotocol/tasks";
/** What became of a task, for who listens for it. */
export const TASK_NOTICE = "notifications/tasks";
/** Of ours: said to a client that listens for tasks, and has to listen anew. */
export const TASKS_LOST = "notifications/mountaineer/tasks_lost";
/** Of ours, never of a client: begins and ends listening for one task. */
export const WATCH_TASK = "tasks/watch";
export const UNWATCH_TASK = "tasks/unwatch";

/** Whether capabilities, of a client or of a server, have the extension of tasks. */
export function declaresTasks(capabilities: JsonObject | undefined): boolean {
  const extensions = capabilities?.["extensions"];
  return isJsonObject(extensions) && isJsonObject(extensions[TASKS_EXTENSION]);
}

/** How a client of MODERN_VERSION listens for changes, and the notice that says what of it is honoured. */
export const LISTEN = "subscriptions/listen";
export const LISTEN_ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
/** The member by which it asks for the changes of a list. */
export const LISTEN_FLAGS: Readonly<Record<ListKind, string>> = {
  tools: "toolsListChanged",
  resources: "resourcesListChanged",
  prompts: "promptsListChanged",
};

// What a client declared about being asked (elicitation).

/** Null: nothing at all; else whether it takes questions of that mode. */
export function takesElicitation({ elicitation }: JsonObject, mode: "form" | "url"): boolean | null {
  if (!isJsonObject(elicitation)) return null;
  // An empty object means forms: so clients declared it before there were modes.
  return isJsonObject(elicitation[mode]) || (mode === "form" && !isJsonObject(elicitation["url"]));
}

/** The error by which a server of 2025-11-25 says that addresses have to be visited first. */
export const URL_ELICITATION_REQUIRED = -32042;

// The loop guard: a gateway that is its own backend would list its own lists for ever, and call itself.

const KEY = "mountaineer/gateway";

/** What the gateway says to a server at the start, in `_meta`. */
export function loopGuard(): JsonObject {
  return { [KEY]: mark() };
}

/** What it gets for an answer from itself. */
export const OWN_BACKEND = errorReply(
  INVALID_REQUEST,
  "the gateway cannot be its own backend; remove this one from its configuration",
);

/** Whether an `initialize`, or a `server/discover`, with these params comes from this very gateway. */
export function isFromThisGateway(params: JsonObject | undefined): boolean {
  const meta = params?.["_meta"];
  return isJsonObject(meta) && meta[KEY] === mark();
}

/** Of this process alone: another one with its number began at another moment. */
function mark(): string {
  return `${process.pid}-${performance.timeOrigin}`;
}
