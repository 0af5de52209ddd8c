// Owns which client sessions there are, and telling each what concerns it: changed lists, and logs it asked for.
import type { ClientPort } from "./client-port.ts";
import type { SessionPort } from "./front/front-contract.ts";
import type { JsonObject } from "./json-rpc.ts";
import type { ServingSet } from "./middleware/middleware.ts";
import { isLogLevel, LIST_KINDS, LOG_LEVELS, type McpLogLevel } from "./protocol.ts";

export interface SessionRoster {
  readonly size: number;
  add(session: SessionPort): void;
  remove(session: SessionPort): void;
  /** Tells each session once for each kind of list that it now sees differently. */
  tellChanges(before: ServingSet, after: ServingSet): void;
  setLogLevel(client: ClientPort, level: McpLogLevel): void;
  /** The lowest that any session asked for; null: none did. */
  readonly lowestLogLevel: McpLogLevel | null;
  /** A log message that belongs to no call goes to those that asked for its level. */
  tellLog(params: JsonObject): void;
}

export function createSessionRoster(): SessionRoster {
  const sessions = new Set<SessionPort>();
  return {
    get size() {
      return sessions.size;
    },
    add: (session) => void sessions.add(session),
    remove: (session) => void sessions.delete(session),
    tellChanges(before, after) {
      for (const session of sessions) {
        const now = after.refresh(session.principal);
        // Whoever is not known any more is told by the next request's 401.
        if (now === null) continue;
        const was = before.viewFor(session.principal).digests;
        const is = after.viewFor(now).digests;
        for (const kind of LIST_KINDS) if (was[kind] !== is[kind]) session.listChanged(kind);
      }
    },
    setLogLevel(client, level) {
      for (const session of sessions) if (session === client) session.setLogLevel(level);
    },
    get lowestLogLevel() {
      let lowest: McpLogLevel | null = null;
      for (const { logLevel } of sessions) {
        if (logLevel !== null && (lowest === null || rank(logLevel) < rank(lowest))) lowest = logLevel;
      }
      return lowest;
    },
    tellLog(params) {
      const { level } = params;
      if (!isLogLevel(level)) return;
      for (const session of sessions) {
        if (session.logLevel !== null && rank(level) >= rank(session.logLevel)) {
          session.notify("notifications/message", params);
        }
      }
    },
  };
}

function rank(level: McpLogLevel): number {
  return LOG_LEVELS.indexOf(level);
}
