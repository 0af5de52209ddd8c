// The sessions over HTTP. Those in use are in memory; any other is continued from its id, with what this daemon remembers of
// it. The bounds of memory hold for each principal and for all.
import { sha256Of } from "../../../runtime/files/sha256.ts";
import type { RuntimeTools } from "../../../runtime/log/runtime-tools.ts";
import { settlesWithin, type Timer } from "../../../runtime/time/clock.ts";
import { mayResumeAs, type Principal, principalKey } from "../../client-handle.ts";
import { jsonOf } from "../../json-rpc.ts";
import { responseJson } from "./client-stream.ts";
import type { FrontGateway } from "./front-contract.ts";
import { readIncoming } from "./incoming.ts";
import type { OtherDaemons, StrayMessage } from "./other-daemons.ts";
import {
  openSession,
  plainSessionId,
  type SealedSession,
  type SessionKeys,
  sealSession,
} from "./sealed-session.ts";
import { type ClientNotice, Session, type SessionOptions } from "./session.ts";
import {
  type HandedSessions,
  type SessionChange,
  SessionMemories,
  type SessionMemory,
} from "./session-memory.ts";

/** Most sessions in memory. */
export const SESSION_LIMIT = 1_000;
/** A session without a stream and without a call leaves memory after this time. */
export const IDLE_LIMIT_MS = 24 * 3_600_000;
const IDLE_CHECK_MS = 3_600_000;

export interface StoreOptions extends RuntimeTools {
  readonly gateway: FrontGateway;
  readonly sessionKeys: () => SessionKeys;
  /** Absent: there are none. */
  readonly others?: OtherDaemons | undefined;
}

interface Active {
  readonly hash: string;
  readonly session: Session;
  /** `sealed`: it can be continued from its id; `plain`: only with its memory; `stream`: it ends with its stream. */
  readonly kind: "sealed" | "plain" | "stream";
  /** When the session was last used, monotonic ms. */
  usedMs: number;
}

type NewSession = Omit<SessionOptions, "id" | "gateway" | "logger" | "onAnswered" | "onEnded" | "onChanged">;

/** There is no session of that id, or it is another principal's. */
export interface Missing {
  readonly kind: "unknown" | "foreign";
}

/** Why there is no memory for one more session. */
export type NoCapacity =
  /** The principal has as many sessions in memory as it may have, all of them in use. */
  | { readonly kind: "too_many"; readonly allowed: number }
  /** So have all principals together. */
  | { readonly kind: "full"; readonly sessions: number };

const UNKNOWN: Missing = { kind: "unknown" };
const FOREIGN: Missing = { kind: "foreign" };

export class SessionStore {
  readonly #options: StoreOptions;
  /** By id; the one used last is at the end. */
  readonly #active = new Map<string, Active>();
  readonly #memories = new SessionMemories();
  #idleTimer: Timer | null = null;
  /** Resolves when no call is in flight; null: the store is not ending. */
  #idle: PromiseWithResolvers<void> | null = null;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#active.size;
  }

  get inFlight(): number {
    return this.#sessions.reduce((sum, session) => sum + session.inFlight, 0);
  }

  get openQuestions(): number {
    return this.#sessions.reduce((sum, session) => sum + session.openQuestions, 0);
  }

  /** Begins a session, with an id that contains it if it is not too large. */
  open(client: NewSession): Session | NoCapacity {
    const sealed = this.seal(client);
    const begun = this.#begin(client, sealed ?? plainSessionId(), sealed === null ? "plain" : "sealed");
    if ("session" in begun && begun.kind === "plain")
      this.#options.others?.report(begun.hash, { kind: "handed", memory: this.#memoryOf(begun) });
    return "session" in begun ? begun.session : begun;
  }

  /** Begins a session that ends with its stream. `isContinued`: its client was initialized on an earlier one. */
  openOnStream(client: NewSession, isContinued: boolean): Session | NoCapacity {
    const begun = this.#begin(client, plainSessionId(), "stream", isContinued);
    return "session" in begun ? begun.session : begun;
  }

  /** An id that contains the client; null: it is too large for one. */
  seal(client: NewSession): string | null {
    const principal = principalKey(client.principal);
    return sealSession(this.#options.sessionKeys(), { ...client, principal });
  }

  /** What an id of `seal` contains; null: it is another one, or another principal's. */
  unseal(id: string, principal: Principal): SealedSession | null {
    const client = openSession(this.#options.sessionKeys(), id);
    return client !== null && mayResumeAs(client.principal, principal) ? client : null;
  }

  /** The session of that id, which counts as used now. */
  find(id: string, principal: Principal): Session | Missing | NoCapacity {
    const active = this.#active.get(id) ?? this.#continue(id, principal);
    if (!("session" in active)) return active;
    if (!active.session.identify(principal)) return FOREIGN;
    this.#active.delete(id);
    this.#active.set(id, active);
    active.usedMs = this.#options.clock.monotonicMs();
    return active.session;
  }

  /** Ends a session for good, because its client has asked for that. */
  remove({ sessionId }: Session): void {
    const active = this.#active.get(sessionId);
    if (active === undefined) return;
    this.#end(active, "the client ended the session");
    this.#options.others?.report(active.hash, { kind: "ended" });
  }

  /** Passes a message that is about nothing here to the other daemons. Resolves with whether one knows what it is about. */
  async passOn({ sessionId, principal }: Session, notice: ClientNotice): Promise<boolean> {
    const { others } = this.#options;
    const hash = this.#active.get(sessionId)?.hash;
    const text =
      notice.kind === "response" ? responseJson(notice.id, notice.reply) : jsonOf({ ...notice.message });
    if (others === undefined || hash === undefined || text === null) return false;
    return others.deliver({ hash, principal, text });
  }

  /** Takes a message that a client sent to another daemon, about a call or a question of this one. */
  async deliver({ hash, principal, text }: StrayMessage): Promise<boolean> {
    const session = this.#byHash(hash)?.session;
    if (session === undefined || (principal !== undefined && !session.identify(principal))) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    void readIncoming(Buffer.from(text), (incoming) => {
      const notice = incoming.kind === "message" ? incoming.message : null;
      resolve(notice !== null && notice.kind !== "request" && session.take(notice));
    })?.catch(() => resolve(false));
    return promise;
  }

  change(hash: string, change: SessionChange): void {
    const active = this.#byHash(hash);
    if (active === undefined) this.#memories.change(hash, change);
    else if (change.kind === "ended") this.#end(active, "the client ended the session");
    else if (change.kind !== "handed") active.session.repeat(change);
  }

  /** What the next daemon has to know. */
  handOver(): HandedSessions {
    const inMemory = [...this.#active.values()]
      .filter(({ kind }) => kind !== "stream")
      .map((active) => [active.hash, this.#memoryOf(active)] as const);
    return this.#memories.handOver(inMemory);
  }

  /** Takes what the previous daemon has handed over. */
  follow(handed: HandedSessions): void {
    this.#memories.follow(handed);
  }

  /** Ends listening streams, waits `graceMs` at most for calls in flight, and ends every session of this process. */
  async end(graceMs: number, reason: string): Promise<void> {
    this.#idle = Promise.withResolvers<void>();
    this.endStreams();
    if (this.inFlight > 0 && graceMs > 0) {
      await settlesWithin(this.#options.clock, graceMs, this.#idle.promise);
    }
    for (const session of this.#sessions) session.end(reason);
    this.#stopTimer();
  }

  endStreams(): void {
    for (const session of this.#sessions) session.endStreams();
  }

  get #sessions(): readonly Session[] {
    return [...this.#active.values()].map(({ session }) => session);
  }

  #byHash(hash: string): Active | undefined {
    return this.#active.values().find((active) => active.hash === hash);
  }

  #begin(client: NewSession, id: string, kind: Active["kind"], isContinued = false): Active | NoCapacity {
    const { gateway } = this.#options;
    const refused = this.#freeSlot(principalKey(client.principal));
    if (refused !== null) return refused;
    const active = this.#add(client, id, kind);
    if (isContinued) gateway.continued(active.session, null);
    else gateway.opened(active.session);
    return active;
  }

  #continue(id: string, principal: Principal): Active | Missing | NoCapacity {
    const hash = sha256Of(id);
    const memory = this.#memories.get(hash);
    if (memory === "ended") return UNKNOWN;
    const client = memory?.client ?? openSession(this.#options.sessionKeys(), id);
    if (client === null) return UNKNOWN;
    const owner = memory?.owner ?? client.principal;
    if (!mayResumeAs(owner, principal)) return FOREIGN;
    const refused = this.#freeSlot(owner);
    if (refused !== null) return refused;
    this.#memories.taken(hash);
    const { logLevel = null, subscriptions = [], lists = null } = memory ?? {};
    const kind = memory?.client == null ? "sealed" : "plain";
    const active = this.#add({ ...client, principal, owner, logLevel }, id, kind, hash);
    this.#options.gateway.continued(active.session, lists);
    for (const uri of subscriptions) active.session.repeat({ kind: "subscribed", uri });
    return active;
  }

  /**
   * Evicts sessions until one of `owner` has a place. A principal at its limit loses its own oldest idle session. If memory is full,
   * the principal with the most idle sessions loses its oldest one; principals with fewer sessions than `owner` lose none.
   */
  #freeSlot(owner: string): NoCapacity | null {
    const allowed = this.#options.gateway.sessionsAllowed();
    if (this.size < Math.min(allowed, SESSION_LIMIT)) return null;
    const all = [...this.#active.values()];
    const own = all.filter(({ session }) => session.owner === owner);
    // Several sessions may have to leave after the limit was lowered.
    for (let left = own.length; left >= allowed; left--)
      if (!this.#forgetOne(own)) return { kind: "too_many", allowed };
    if (this.size < SESSION_LIMIT) return null;
    const idle = [...Map.groupBy(all, ({ session }) => session.owner).values()]
      .filter(({ length }) => length >= own.length)
      .map((of) => of.filter(({ session }) => !session.busy))
      .reduce((a, b) => (b.length > a.length ? b : a), []);
    return this.#forgetOne(idle) ? null : { kind: "full", sessions: this.size };
  }

  /** Of those that are not in use, the first one leaves memory: one that holds something at last. */
  #forgetOne(sessions: Active[]): boolean {
    const idle = sessions.filter(({ session }) => !session.busy);
    const first = idle.find((active) => !this.#hasState(active)) ?? idle[0];
    if (first === undefined) return false;
    sessions.splice(sessions.indexOf(first), 1);
    this.#forget(first, "evicted: too many newer sessions");
    return true;
  }

  /**
   * The session leaves memory. What it holds ends with that, and so does its id: its client must not get another server
   * process unnoticed.
   */
  #forget(active: Active, reason: string): void {
    if (this.#hasState(active)) {
      this.#end(active, reason);
      return;
    }
    this.#memories.keep(active.hash, this.#memoryOf(active));
    active.session.end(reason);
  }

  #end({ hash, session }: Active, reason: string): void {
    this.#memories.end(hash, session.owner);
    session.end(reason);
  }

  #hasState({ kind, session }: Active): boolean {
    const { logLevel, subscriptions } = session;
    return (
      kind !== "sealed" ||
      logLevel !== null ||
      subscriptions.length > 0 ||
      this.#options.gateway.hasStateOf(session)
    );
  }

  #memoryOf({ kind, session }: Active): SessionMemory {
    const { owner, logLevel, subscriptions, pendingListChanges } = session;
    const known = this.#options.gateway.knownLists(session);
    const listOf = (list: keyof typeof known): string => (pendingListChanges.has(list) ? "" : known[list]);
    const lists = { tools: listOf("tools"), resources: listOf("resources"), prompts: listOf("prompts") };
    return { owner, logLevel, subscriptions, lists, client: kind === "plain" ? recordOf(session) : null };
  }

  #add(client: NewSession, id: string, kind: Active["kind"], hash = sha256Of(id)): Active {
    const { gateway, clock, logger, others } = this.#options;
    const session = new Session({
      ...client,
      id,
      gateway,
      logger,
      onAnswered: () => {
        if (this.#idle !== null && this.inFlight === 0) this.#idle.resolve();
      },
      onEnded: () => {
        this.#active.delete(id);
        if (gateway.served.isWithdrawn(session.principal)) this.#memories.end(hash, session.owner);
        if (this.size === 0) this.#stopTimer();
      },
      onChanged: (change) => others?.report(hash, change),
    });
    const active: Active = { hash, session, kind, usedMs: clock.monotonicMs() };
    this.#active.set(id, active);
    this.#idleTimer ??= clock.setTimer(IDLE_CHECK_MS, this.#forgetIdle);
    return active;
  }

  readonly #forgetIdle = (): void => {
    const sinceMs = this.#options.clock.monotonicMs() - IDLE_LIMIT_MS;
    for (const active of [...this.#active.values()])
      if (!active.session.busy && active.usedMs <= sinceMs)
        this.#forget(active, "the session was idle for a day");
    this.#stopTimer();
    if (this.size > 0) this.#idleTimer = this.#options.clock.setTimer(IDLE_CHECK_MS, this.#forgetIdle);
  };

  #stopTimer(): void {
    this.#idleTimer?.[Symbol.dispose]();
    this.#idleTimer = null;
  }
}

function recordOf(session: Session): SealedSession {
  const { owner: principal, protocolVersion, capabilities, clientInfo, group } = session;
  return { principal, protocolVersion, capabilities, clientInfo, group };
}
