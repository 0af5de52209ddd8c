// Sessions of the last version, which kept them in a file, and handed over those that began late. Their ids contain nothing, so
// they continue with what is remembered of them. This file, and what calls it, goes with the next version.
import { unlink } from "node:fs/promises";
import { join } from "node:path";
import type { SealedSession } from "../../gateway/frontend/session/sealed-session.ts";
import { listsOf, type SessionMemory } from "../../gateway/frontend/session/session-memory.ts";
import { isLogLevel, isProtocolVersion } from "../../gateway/protocol.ts";
import { errorText, recoverFrom } from "../../runtime/errors.ts";
import { readRegularFile } from "../../runtime/files/durable-file.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import type { Clock } from "../../runtime/time/clock.ts";

/** A session as a daemon of the last version hands it over. */
export interface EarlierSession {
  readonly hash: string;
  readonly record: Omit<SealedSession, "group"> & Partial<SessionMemory> & { readonly group?: string | null };
}

type Remembered = readonly [hash: string, memory: SessionMemory];

const LARGEST_FILE = 2 * 1_000 * (8 * 1_024 + 1);
const IDLE_LIMIT_MS = 24 * 3_600_000;

export function rememberedOf({ hash, record }: EarlierSession): Remembered {
  const { principal, protocolVersion, capabilities, clientInfo, group = null } = record;
  const client = { principal, protocolVersion, capabilities, clientInfo, group };
  const { logLevel = null, subscriptions = [], lists } = record;
  return [hash, { owner: principal, logLevel, subscriptions, lists: listsOf(lists), client }];
}

/**
 * The sessions in the file of the home that were used within a day; a file without any is removed. Never rejects.
 */
export async function earlierSessions(
  home: string,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<readonly Remembered[]> {
  const path = join(home, "sessions.jsonl");
  try {
    const text = await readRegularFile(path, LARGEST_FILE);
    if (text === null) return [];
    const sinceMs = clock.wallMs() - IDLE_LIMIT_MS;
    const found = text.split("\n").flatMap((line) => recordIn(line, sinceMs));
    if (found.length === 0) await unlink(path).catch(recoverFrom("ENOENT", undefined));
    return found;
  } catch (error) {
    logger.warn("the sessions of the last version are lost", { path, reason: errorText(error) });
    return [];
  }
}

function recordIn(line: string, sinceMs: number): readonly Remembered[] {
  const value = objectOf(jsonObject(line));
  const { session: hash, principal, protocol_version: version, log_level: level, group } = value;
  const isCurrent = Date.parse(String(value["used_at"])) > sinceMs;
  if (typeof hash !== "string" || typeof principal !== "string" || !isProtocolVersion(version)) return [];
  if (!isCurrent) return [];
  const client = {
    principal,
    protocolVersion: version,
    capabilities: objectOf(value["capabilities"]),
    clientInfo: objectOf(value["client_info"]),
    group: typeof group === "string" ? group : null,
  };
  const uris: unknown = value["subscriptions"];
  const subscriptions = Array.isArray(uris) ? uris.filter((uri) => typeof uri === "string") : [];
  const logLevel = isLogLevel(level) ? level : null;
  return [[hash, { owner: principal, logLevel, subscriptions, lists: listsOf(value["lists"]), client }]];
}
