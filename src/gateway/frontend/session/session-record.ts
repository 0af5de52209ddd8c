// The saved form of a session, one line of JSON. It is enough to resume the session, but not enough for a reader of
// the file to take the session over.

import { randomBytes } from "node:crypto";
import { isMachineName } from "../../../config/values/fleet-values.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { parseExactly } from "../../../runtime/text/exact-json.ts";
import { isoTime } from "../../../runtime/time/clock.ts";
import { type Principal, principalKey } from "../../client-handle.ts";
import { isJsonObject, type JsonObject, jsonOf } from "../../json-rpc.ts";
import type { ServingSet } from "../../middleware/middleware.ts";
import {
  isLogLevel,
  isProtocolVersion,
  LIST_KINDS,
  type ListKind,
  type McpLogLevel,
  type ProtocolVersion,
} from "../../protocol.ts";

/** Maximum bytes of one line; a session with a longer one is not saved. */
export const LONGEST_RECORD = 8 * 1024;
/** Maximum number of resource subscriptions that are saved of one session. */
export const MOST_SUBSCRIPTIONS = 64;
/** Maximum number of roles that are saved, and passed to another machine. */
export const MOST_ROLES = 256;
export const SHA256_HEX = /^[0-9a-f]{64}$/;

/** The digest of each list that the client knows; "": the client still has to be notified of a change. */
export type ListDigests = Readonly<Record<ListKind, string>>;

export interface SessionRecord {
  /** The result of `principalKey`. */
  readonly principal: string;
  readonly protocolVersion: ProtocolVersion;
  readonly capabilities: JsonObject;
  readonly clientInfo: JsonObject;
  readonly group?: string | null;
  /** Absent: the session is not shared with other machines. */
  readonly shared?: SharedRecord;
  readonly logLevel: McpLogLevel | null;
  readonly subscriptions: readonly string[];
  readonly lists: ListDigests;
  /** Wall ms of the last use, up to an hour out of date. */
  readonly usedMs: number;
}

/** Returns null if the line would be too long even without the subscriptions, or cannot be written as JSON. */
export function recordLine(hash: string, record: SessionRecord): string | null {
  const line = lineOf(hash, record);
  if (line !== null || record.subscriptions.length === 0) return line;
  return lineOf(hash, { ...record, subscriptions: [] });
}

function lineOf(hash: string, record: SessionRecord): string | null {
  const line = jsonOf({
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
  return line !== null && Buffer.byteLength(line) <= LONGEST_RECORD ? line : null;
}

/**
 * Returns null for a corrupt line. `record` is null if this build does not know the session's protocol version.
 */
export function readRecordLine(line: string) {
  const value = parsed(line);
  const { session: hash } = value ?? {};
  if (value === null || typeof hash !== "string" || !SHA256_HEX.test(hash)) return null;
  const { principal, protocol_version: protocolVersion, capabilities, client_info: clientInfo } = value;
  if (typeof principal !== "string" || !isJsonObject(capabilities) || !isJsonObject(clientInfo)) return null;
  const usedMs = Date.parse(String(value["used_at"]));
  if (Number.isNaN(usedMs)) return null;
  if (!isProtocolVersion(protocolVersion)) return { hash, record: null };
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
  return { hash, record };
}

function sharedOf(value: unknown): SharedRecord | null {
  const { check, roles } = isJsonObject(value) ? value : {};
  if (typeof check !== "string" || !SHA256_HEX.test(check) || !Array.isArray(roles)) return null;
  const isWhole = roles.length <= MOST_ROLES && roles.every((role) => typeof role === "string");
  return isWhole ? { check, roles } : null;
}

export function listsOf(value: unknown): ListDigests {
  const lists = { tools: "", resources: "", prompts: "" };
  for (const kind of LIST_KINDS) {
    const digest = isJsonObject(value) ? value[kind] : undefined;
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

// Sessions that machines of the fleet share. Their ids name the machine that holds the session; other machines send a
// proof instead of the id.

const ID_BYTES = 24;
const SHARED_ID = /^([^.]+)\.[\w-]{32}$/;

/** Unguessable; begins with `machine` if sessions are shared. */
export function newSessionId(machine: string | null): string {
  const id = randomBytes(ID_BYTES).toString("base64url");
  return machine === null ? id : `${machine}.${id}`;
}

/** The machine in the id; null: the id has none. */
export function machineOf(id: string): string | null {
  const machine = SHARED_ID.exec(id)?.[1];
  return machine !== undefined && isMachineName(machine) ? machine : null;
}

/** Proves to another machine that the sender knows the session's id. */
export function proofOf(id: string): string {
  return sha256Of(`mountaineer session proof\n${id}`);
}

/**
 * Returns a hash with which a proof can be verified. It is safe to save, because the proof cannot be derived from it.
 */
export function checkOf(proof: string): string {
  return sha256Of(`mountaineer session check\n${proof}`);
}

interface SharedRecord {
  /** The result of `checkOf` for the proof of the session's id. */
  readonly check: string;
  /** The principal's roles as this machine determined them last. */
  readonly roles: readonly string[];
}

/**
 * Returns the principal for a forwarded request in a session of `own`, with only those roles that both machines give.
 * Returns null if `caller`, the principal that the other machine authenticated, is another principal or is not admitted
 * here.
 */
export function actingPrincipal(
  caller: Principal,
  own: Principal,
  served: Pick<ServingSet, "refresh" | "isWithdrawn">,
): Principal | null {
  const key = principalKey(own);
  if (principalKey(caller) !== key) return null;
  const known =
    own.id === undefined
      ? served.refresh({ kind: own.kind, name: own.name, roles: [] })
      : signed(own, served);
  if (known === null || principalKey(known) !== key || served.isWithdrawn(known)) return null;
  const roles = known.roles.filter((role) => caller.roles.includes(role));
  if (isSame(roles, own.roles)) return own;
  return isSame(roles, known.roles) ? known : { ...known, roles };
}

/** This machine does not get the signed token from the sender, so the last token that this machine has seen counts. */
function signed(own: Principal, served: Pick<ServingSet, "refresh">): Principal {
  const now = served.refresh(own);
  return now !== null && principalKey(now) === principalKey(own) ? now : own;
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((role, index) => role === other[index]);
}
