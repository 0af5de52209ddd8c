// What is kept of a session on disk: enough to go on with it, and nothing with which somebody else could. One line each.
import { parseExactly } from "../../../runtime/text/exact-json.ts";
import { isoTime } from "../../../runtime/time/clock.ts";
import { isJsonObject, type JsonObject } from "../../json-rpc.ts";
import {
  isLogLevel,
  isProtocolVersion,
  LIST_KINDS,
  type ListKind,
  type McpLogLevel,
  type ProtocolVersion,
} from "../../protocol.ts";
import type { SharedRecord } from "./shared-session.ts";

/** Of one line; a client that says more of itself begins anew after a restart. */
export const LONGEST_RECORD = 8 * 1024;
/** Resources to which one session is subscribed, of which that is kept. */
export const MOST_SUBSCRIPTIONS = 64;
/** Roles of a session's principal that are kept, and passed on to another machine. */
export const MOST_ROLES = 256;
export const SHA256_HEX = /^[0-9a-f]{64}$/;

/** The digest of each list that the client was told of last; "" where it has still to be told. */
export type ListsSeen = Readonly<Record<ListKind, string>>;

export interface SessionRecord {
  /** As `principalKey` spells it. */
  readonly principal: string;
  readonly protocolVersion: ProtocolVersion;
  readonly capabilities: JsonObject;
  readonly clientInfo: JsonObject;
  /** Absent: none. */
  readonly group?: string | null;
  /** For requests that other machines bring; absent: it is not shared. */
  readonly shared?: SharedRecord;
  readonly logLevel: McpLogLevel | null;
  readonly subscriptions: readonly string[];
  readonly lists: ListsSeen;
  /** Wall ms of its last use, give or take an hour. */
  readonly usedMs: number;
}

/** One line of the file, read. */
type RecordLine =
  | { readonly kind: "session"; readonly hash: string; readonly record: SessionRecord }
  | { readonly kind: "gone"; readonly hash: string }
  /** Of another version, which this one cannot go on with. */
  | { readonly kind: "foreign"; readonly hash: string }
  | { readonly kind: "corrupt" };

/** Null: it is more than is kept, or cannot be written as JSON. Of too many subscriptions none is kept. */
export function recordLine(hash: string, record: SessionRecord): string | null {
  const line = lineOf(hash, record);
  if (line !== null || record.subscriptions.length === 0) return line;
  return lineOf(hash, { ...record, subscriptions: [] });
}

function lineOf(hash: string, record: SessionRecord): string | null {
  let line: string;
  try {
    line = JSON.stringify({
      session: hash,
      principal: record.principal,
      protocol_version: record.protocolVersion,
      capabilities: record.capabilities,
      client_info: record.clientInfo,
      ...(typeof record.group === "string" && { group: record.group }),
      ...(record.shared !== undefined && { shared: record.shared }),
      log_level: record.logLevel,
      subscriptions: record.subscriptions,
      lists: record.lists,
      used_at: isoTime(record.usedMs),
    });
  } catch {
    // Nested so deep that writing it overflows the stack.
    return null;
  }
  return Buffer.byteLength(line) <= LONGEST_RECORD ? line : null;
}

export function goneLine(hash: string): string {
  return JSON.stringify({ session: hash, gone: true });
}

export function readRecordLine(line: string): RecordLine {
  const value = parsed(line);
  const { session: hash } = value ?? {};
  if (value === null || typeof hash !== "string" || !SHA256_HEX.test(hash)) return { kind: "corrupt" };
  if (value["gone"] === true) return { kind: "gone", hash };
  const { principal, protocol_version: protocolVersion, capabilities, client_info: clientInfo } = value;
  if (typeof principal !== "string" || !isJsonObject(capabilities) || !isJsonObject(clientInfo)) {
    return { kind: "corrupt" };
  }
  const usedMs = Date.parse(String(value["used_at"]));
  if (Number.isNaN(usedMs)) return { kind: "corrupt" };
  if (!isProtocolVersion(protocolVersion)) return { kind: "foreign", hash };
  const { log_level: level, subscriptions, lists, group } = value;
  const shared = sharedOf(value["shared"]);
  const record: SessionRecord = {
    principal,
    protocolVersion,
    capabilities,
    clientInfo,
    ...(typeof group === "string" && { group }),
    ...(shared !== null && { shared }),
    logLevel: isLogLevel(level) ? level : null,
    subscriptions: Array.isArray(subscriptions)
      ? subscriptions.filter((uri) => typeof uri === "string").slice(0, MOST_SUBSCRIPTIONS)
      : [],
    lists: listsOf(lists),
    usedMs,
  };
  return { kind: "session", hash, record };
}

function sharedOf(value: unknown): SharedRecord | null {
  const { check, roles } = isJsonObject(value) ? value : {};
  if (typeof check !== "string" || !SHA256_HEX.test(check) || !Array.isArray(roles)) return null;
  const isWhole = roles.length <= MOST_ROLES && roles.every((role) => typeof role === "string");
  return isWhole ? { check, roles } : null;
}

function listsOf(value: unknown): ListsSeen {
  const lists = { tools: "", resources: "", prompts: "" };
  if (!isJsonObject(value)) return lists;
  for (const kind of LIST_KINDS) {
    const digest = value[kind];
    if (typeof digest === "string") lists[kind] = digest;
  }
  return lists;
}

function parsed(line: string): JsonObject | null {
  try {
    const value = parseExactly(line);
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}
