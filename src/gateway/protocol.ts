// What the gateway knows of MCP: versions, log levels, and the methods of change notices.

/** Newest first; the first is what the gateway speaks towards backends. */
export const LEGACY_VERSIONS = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] as const;
export type ProtocolVersion = (typeof LEGACY_VERSIONS)[number];
export const LATEST_VERSION: ProtocolVersion = "2025-11-25";

export function isProtocolVersion(text: unknown): text is ProtocolVersion {
  return LEGACY_VERSIONS.some((version) => version === text);
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
export type McpLogLevel = (typeof LOG_LEVELS)[number];

export function isLogLevel(text: unknown): text is McpLogLevel {
  return LOG_LEVELS.some((level) => level === text);
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
