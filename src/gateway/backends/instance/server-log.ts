// The last log lines of a server, and rate-limited logging of its invalid messages.

import { createRedaction } from "../../../runtime/log/log-redaction.ts";
import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import { settlesWithin } from "../../../runtime/time/clock.ts";
import type { ClientHandle } from "../../client-handle.ts";
import type { JsonObject } from "../../json-rpc.ts";
import { isLogLevel, LOG_LEVELS, type McpLogLevel, MODERN_VERSION } from "../../protocol.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import type { ServerSession } from "./session.ts";

const MOST_LINES = 200;
const BETWEEN_WARNINGS_MS = 60_000;

export type ServerLog = ReturnType<typeof createServerLog>;

export function createServerLog({ backend, clock, logger, secrets = [] }: InstanceOptions) {
  const lines: string[] = [];
  const redaction = createRedaction();
  let count = 0;
  let warnedAtMs = Number.NEGATIVE_INFINITY;
  for (const secret of secrets) redaction.redact(secret);
  return {
    lines,
    clean: (text: string): string => redaction.clean(text),
    keep(given: string): void {
      const { most } = TEXT_BOUNDS.serverLine;
      // A part of a text would keep all of it.
      const line = given.length > most ? Buffer.from(given.slice(0, most)).toString() : given;
      lines.push(line);
      if (lines.length > MOST_LINES) lines.shift();
      logger.debug("a server writes", { backend, line });
    },
    invalid(reason: string): void {
      count++;
      const nowMs = clock.monotonicMs();
      if (nowMs - warnedAtMs < BETWEEN_WARNINGS_MS) return;
      logger.warn("a server sends text that is not an MCP message", { backend, reason, count });
      warnedAtMs = nowMs;
      count = 0;
    },
  };
}

// The server gets the lowest log level that any client wants. Each client gets only messages of its level.

/** Calls wait at most this long for the server to confirm a lower level. */
const CONFIRMED_MS = 1_000;

export type ServerLogLevel = ReturnType<typeof createServerLogLevel>;

/** `mayOvertake`: messages may reach the server in another order than they were sent. */
export function createServerLogLevel(
  { clock, listMs, logLevel }: InstanceOptions,
  session: ServerSession,
  mayOvertake: () => boolean,
) {
  let wanted = logLevel;
  /** Null: the server uses its default. */
  let sent: McpLogLevel | null = null;
  let confirming: Promise<void> | null = null;
  let confirmed: McpLogLevel | null = null;

  /** Resolves when the server has answered, or after `CONFIRMED_MS`. */
  const send = (): Promise<void> => {
    const level = wanted;
    // MCP cannot unset a level, so null keeps the last one.
    if (level === null || level === sent || !session.declares("logging")) {
      return confirming ?? Promise.resolve();
    }
    if (confirming !== null && mayOvertake()) return confirming.then(send);
    sent = level;
    const answer = session.send("logging/setLevel", { level }, listMs);
    const own = settlesWithin(clock, CONFIRMED_MS, answer).then(() => {
      if (confirming !== own) return;
      confirming = null;
      confirmed = level;
    });
    confirming = own;
    return own;
  };

  return {
    /** Null: no level is set for all calls. Servers of 2026-07-28 get the level with each call. */
    get raised(): McpLogLevel | null {
      return session.result?.protocolVersion === MODERN_VERSION ? null : sent;
    },
    want(level: McpLogLevel | null): void {
      wanted = level;
    },
    send,
    /**
     * Returns a promise that settles when a call of a client with this level may be sent; null if it may be sent now.
     */
    before(level: McpLogLevel | null): Promise<void> | null {
      if (confirming === null || level === null || !mayOvertake()) return null;
      const isLower = confirmed === null || LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(confirmed);
      return isLower ? confirming : null;
    },
    /** Call when the server has lost its session, and with it the log level. */
    forgotten(): void {
      sent = null;
      confirming = null;
      confirmed = null;
    },
  };
}

/**
 * Messages of an unknown level always pass. A client that set no level gets all messages, but only those from
 * `info` on once another client has set a level.
 */
export function passesLogLevel(
  params: JsonObject | undefined,
  client: ClientHandle,
  raised: McpLogLevel | null,
): boolean {
  const level = params?.["level"];
  if (!isLogLevel(level)) return true;
  const least = client.logLevel ?? (raised === null ? null : "info");
  return least === null || LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least);
}
