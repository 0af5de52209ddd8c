// What is kept of a session on disk: enough to go on with it, and nothing with which somebody else could. One line each.

import { randomBytes } from "node:crypto";
import { isMachineName } from "../../../config/values/fleet-values.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { parseExactly } from "../../../runtime/text/exact-json.ts";
import { isoTime } from "../../../runtime/time/clock.ts";
import { type Principal, principalKey } from "../../client-port.ts";
import { isJsonObject, type JsonObject } from "../../json-rpc.ts";
import type { ServingSet } from "../../middleware/middleware.ts";
import {
  isLogLevel,
  isProtocolVersion,
  LIST_KINDS,
  type ListKind,
  type McpLogLevel,
  type ProtocolVersion,
} from "../../protocol.ts";

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

export function readRecordLine(line: string): RecordLine {
  const value = parsed(line);
  const { session: hash } = value ?? {};
  if (value === null || typeof hash !== "string" || !SHA256_HEX.test(hash)) return { kind: "corrupt" };
  // As earlier versions wrote it.
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

// Sessions that several machines share: ids that say which machine holds them, what stands for an id between machines, and
// as whom another machine's client acts.

const ID_BYTES = 24;
const SHARED_ID = /^([^.]+)\.[\w-]{32}$/;

/** Unguessable. It begins with the machine's name where sessions are shared with other machines. */
export function newSessionId(machine: string | null): string {
  const id = randomBytes(ID_BYTES).toString("base64url");
  return machine === null ? id : `${machine}.${id}`;
}

/** The machine that holds the session of that id; null: it says none. */
export function holderOf(id: string): string | null {
  const machine = SHARED_ID.exec(id)?.[1];
  return machine !== undefined && isMachineName(machine) ? machine : null;
}

/** What goes to the machine that holds a session in the place of its id: whoever has it knew the id. */
export function proofOf(id: string): string {
  return sha256Of(`mountaineer session proof\n${id}`);
}

/** What tells that a proof is right, and is none itself. */
export function checkOf(proof: string): string {
  return sha256Of(`mountaineer session check\n${proof}`);
}

/** What is kept of a session that other machines bring requests for. */
interface SharedRecord {
  /** As `checkOf` gives it. */
  readonly check: string;
  /** Of its principal, as this machine knew it last. */
  readonly roles: readonly string[];
}

/**
 * Whom a request acts for that another machine has let in as `said`, in the session of `own`, as it was here itself; null:
 * for nobody who may. It
 * has to be the same one, by the configuration of this machine, too; of the roles that it has here it keeps those that it
 * has there.
 */
export function actingPrincipal(
  said: Principal,
  own: Principal,
  served: Pick<ServingSet, "refresh" | "isWithdrawn">,
): Principal | null {
  const key = principalKey(own);
  if (principalKey(said) !== key) return null;
  const known =
    own.id === undefined
      ? served.refresh({ kind: own.kind, name: own.name, roles: [] })
      : signed(own, served);
  if (known === null || principalKey(known) !== key || served.isWithdrawn(known)) return null;
  const roles = known.roles.filter((role) => said.roles.includes(role));
  if (isSame(roles, own.roles)) return own;
  return isSame(roles, known.roles) ? known : { ...known, roles };
}

/** A signed token is read by the machine that it came to: by what this one makes now of the one that was here last. */
function signed(own: Principal, served: Pick<ServingSet, "refresh">): Principal {
  const now = served.refresh(own);
  return now !== null && principalKey(now) === principalKey(own) ? now : own;
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((role, index) => role === other[index]);
}
