// The client sessions, each of which is told what concerns it: changed lists, and logs it asked for.
import type { ClientPort, Principal } from "../client-port.ts";
import type { SessionPort } from "../front/session/front-contract.ts";
import type { ListsSeen } from "../front/session/session-record.ts";
import type { JsonObject } from "../json-rpc.ts";
import type { CatalogView, ServingSet } from "../middleware/middleware.ts";
import { isLogLevel, LIST_KINDS, LOG_LEVELS, type McpLogLevel } from "../protocol.ts";

const UNSEEN: ListsSeen = { tools: "", resources: "", prompts: "" };

export class SessionRoster {
  /** Each with the lists that it may know: those of when it came, or that it was told of last. */
  readonly #sessions = new Map<SessionPort, ListsSeen>();
  /** Of requests without a session: each asks for a level while it lasts. */
  readonly #levels = new Set<{ readonly logLevel: McpLogLevel }>();
  /** Those that are told of no list before `release`. */
  readonly #held = new Set<SessionPort>();

  get size(): number {
    return this.#sessions.size;
  }

  add(session: SessionPort, served: ServingSet): void {
    this.#sessions.set(session, viewOf(session, session.principal, served).digests);
  }

  /** A session that was told of these lists last; what differs from them it is told of at `release`. */
  resume(session: SessionPort, lists: ListsSeen): void {
    this.#sessions.set(session, lists);
    this.#held.add(session);
  }

  isHeld(session: SessionPort): boolean {
    return this.#held.has(session);
  }

  release(served: ServingSet): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const session of held) this.identified(session, served);
  }

  seen(session: SessionPort): ListsSeen {
    return this.#sessions.get(session) ?? UNSEEN;
  }

  remove(session: SessionPort): void {
    this.#sessions.delete(session);
    this.#held.delete(session);
  }

  /** Tells each session once for each kind of list that it now sees differently; ends it if its token was taken back. */
  notifyChanges(served: ServingSet): void {
    for (const [session, was] of [...this.#sessions]) {
      if (served.isWithdrawn(session.principal)) {
        session.withdraw();
        continue;
      }
      const principal = served.refresh(session.principal);
      session.admit(principal !== null);
      if (principal !== null) this.#compare(session, was, viewOf(session, principal, served));
      // Not let in as who it was: its next request tells who it is, or gets a 401. A copy keeps no catalog alive.
      else this.#sessions.set(session, { ...was });
    }
  }

  /** A request showed that it is another than was known, or has other roles: its lists may be others. */
  identified(session: SessionPort, served: ServingSet): void {
    const was = this.#sessions.get(session);
    if (was !== undefined) this.#compare(session, was, viewOf(session, session.principal, served));
  }

  setLogLevel(client: ClientPort, level: McpLogLevel): void {
    for (const session of this.#sessions.keys()) if (session === client) session.setLogLevel(level);
  }

  /** Until what it returns is called. */
  logAt(logLevel: McpLogLevel): () => void {
    const one = { logLevel };
    this.#levels.add(one);
    return () => void this.#levels.delete(one);
  }

  /** The lowest that is asked for; null: none is. */
  get lowestLogLevel(): McpLogLevel | null {
    let lowest: McpLogLevel | null = null;
    for (const { logLevel } of [...this.#levels, ...this.#sessions.keys()]) {
      if (logLevel !== null && (lowest === null || rank(logLevel) < rank(lowest))) lowest = logLevel;
    }
    return lowest;
  }

  /** A log message that belongs to no call goes to those that asked for its level and see anything of the backend. */
  emitLog(params: JsonObject, backend: string, served: ServingSet): void {
    const { level } = params;
    if (!isLogLevel(level)) return;
    for (const session of this.#sessions.keys()) {
      if (session.logLevel === null || rank(level) < rank(session.logLevel)) continue;
      const principal = served.refresh(session.principal);
      if (principal !== null && viewOf(session, principal, served).sees(backend)) {
        session.notify("notifications/message", params);
      }
    }
  }

  #compare(session: SessionPort, was: ListsSeen, { digests: is }: CatalogView): void {
    if (is === was || this.#held.has(session)) return;
    this.#sessions.set(session, is);
    for (const kind of LIST_KINDS) if (was[kind] !== is[kind]) session.listChanged(kind);
  }
}

/** What that session sees, as a principal that may have other roles by now. */
function viewOf({ group, clientInfo }: SessionPort, principal: Principal, served: ServingSet): CatalogView {
  return served.forClient({ principal, group, clientInfo }).viewFor(principal);
}

function rank(level: McpLogLevel): number {
  return LOG_LEVELS.indexOf(level);
}
