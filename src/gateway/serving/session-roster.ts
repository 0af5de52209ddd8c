// Owns which client sessions there are, and telling each what concerns it: changed lists, and logs it asked for.
import type { ClientPort } from "../client-port.ts";
import type { SessionPort } from "../front/session/front-contract.ts";
import type { JsonObject } from "../json-rpc.ts";
import type { CatalogView, ServingSet } from "../middleware/middleware.ts";
import { isLogLevel, LIST_KINDS, LOG_LEVELS, type McpLogLevel } from "../protocol.ts";

export interface SessionRoster {
  readonly size: number;
  add(session: SessionPort, served: ServingSet): void;
  remove(session: SessionPort): void;
  /** Tells each session once for each kind of list that it now sees differently. */
  tellChanges(served: ServingSet): void;
  /** A request showed that it is another than was known, or has other roles: its lists may be others. */
  identified(session: SessionPort, served: ServingSet): void;
  setLogLevel(client: ClientPort, level: McpLogLevel): void;
  /** The lowest that any session asked for; null: none did. */
  readonly lowestLogLevel: McpLogLevel | null;
  /** A log message that belongs to no call goes to those that asked for its level and see anything of the backend. */
  tellLog(params: JsonObject, backend: string, served: ServingSet): void;
}

export function createSessionRoster(): SessionRoster {
  /** Each with the lists that it may know: those of when it came, or that it was told of last. */
  const sessions = new Map<SessionPort, CatalogView["digests"]>();

  const compare = (session: SessionPort, was: CatalogView["digests"], view: CatalogView): void => {
    const is = view.digests;
    if (is === was) return;
    sessions.set(session, is);
    for (const kind of LIST_KINDS) if (was[kind] !== is[kind]) session.listChanged(kind);
  };

  return {
    get size() {
      return sessions.size;
    },
    add: (session, served) => void sessions.set(session, served.viewFor(session.principal).digests),
    remove: (session) => void sessions.delete(session),
    tellChanges(served) {
      for (const [session, was] of sessions) {
        const principal = served.refresh(session.principal);
        session.admit(principal !== null);
        if (principal !== null) compare(session, was, served.viewFor(principal));
        // Not let in as who it was: its next request tells who it is, or gets a 401. A copy keeps no catalog alive.
        else sessions.set(session, { ...was });
      }
    },
    identified(session, served) {
      const was = sessions.get(session);
      if (was !== undefined) compare(session, was, served.viewFor(session.principal));
    },
    setLogLevel(client, level) {
      for (const session of sessions.keys()) if (session === client) session.setLogLevel(level);
    },
    get lowestLogLevel() {
      let lowest: McpLogLevel | null = null;
      for (const { logLevel } of sessions.keys()) {
        if (logLevel !== null && (lowest === null || rank(logLevel) < rank(lowest))) lowest = logLevel;
      }
      return lowest;
    },
    tellLog(params, backend, served) {
      const { level } = params;
      if (!isLogLevel(level)) return;
      for (const session of sessions.keys()) {
        if (session.logLevel === null || rank(level) < rank(session.logLevel)) continue;
        const principal = served.refresh(session.principal);
        if (principal !== null && served.viewFor(principal).sees(backend)) {
          session.notify("notifications/message", params);
        }
      }
    },
  };
}

function rank(level: McpLogLevel): number {
  return LOG_LEVELS.indexOf(level);
}
