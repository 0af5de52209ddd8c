// The sessions over HTTP: limits their number, ends the oldest or all of them, saves them, and resumes them after a
// restart.
import { dropOldest } from "../../../runtime/bounded-map.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { settlesWithin, type Timer } from "../../../runtime/time/clock.ts";
import { type ClientHandle, mayResumeAs, type Principal, principalKey } from "../../client-handle.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import type { ListKind } from "../../protocol.ts";
import type { FrontGateway } from "./front-contract.ts";
import type { ClientMessage, HandoverPeers, Side } from "./handover-peers.ts";
import { readIncoming } from "./incoming.ts";
import { Session, type SessionOptions } from "./session.ts";
import type { SessionFile, StoredSession } from "./session-file.ts";
import {
  actingPrincipal,
  checkOf,
  machineOf,
  newSessionId,
  proofOf,
  type SessionRecord,
} from "./session-record.ts";

export const SESSION_LIMIT = 1_000;
/** A session without a stream and without a call ends after this time. */
export const IDLE_LIMIT_MS = 24 * 3_600_000;
const IDLE_CHECK_MS = 3_600_000;
/** Time in which a client sends its next request after `initialize`. */
const BEGINNING_MS = 5_000;
const ENDED_BY_CLIENT = "the client ended the session";
/** Maximum number of remembered sessions that clients have ended. */
const MOST_ENDED = SESSION_LIMIT;
/** Changes of sessions are saved together after this delay. */
const SAVE_DELAY_MS = 1_000;

export interface StoreOptions extends GatewayTools {
  readonly gateway: FrontGateway;
  /** Absent: sessions end with this process. */
  readonly file?: SessionFile | undefined;
  /** The daemons before and after this one; absent: there are none. */
  readonly neighbours?: HandoverPeers | undefined;
}

interface Entry {
  readonly hash: string;
  /** When the session was last used, monotonic ms. */
  usedMs: number;
  /** A request has come after `initialize`. */
  isUsed: boolean;
  /** Returns `principalKey` of the session's principal. */
  readonly owner: () => string;
  readonly busy: () => boolean;
  end(reason: string): void;
}

interface Active extends Entry {
  readonly session: Session;
  readonly isPassing: boolean;
  /** The result of `checkOf`, with which other machines find the session; null: the session is not shared. */
  readonly check: string | null;
  /** The principal, as it was when this machine itself last authenticated the client. */
  lastLocalPrincipal: Principal;
  /** The value of `usedMs` that was saved last. */
  savedMs: number;
}

/** A session from before a restart whose client has not returned yet. */
interface Dormant extends Entry {
  readonly record: SessionRecord;
}

interface NewSession
  extends Omit<SessionOptions, "gateway" | "logger" | "onAnswered" | "onEnded" | "onChanged" | "onForeign"> {
  /** The session ends with its connection, and is not saved. */
  readonly isPassing?: boolean;
}

type Admission =
  | { readonly kind: "room" }
  /** The principal has reached its limit, and all its sessions are in use. */
  | { readonly kind: "too_many"; readonly allowed: number }
  /** The table is full, and all sessions are in use. */
  | { readonly kind: "full"; readonly sessions: number };

export class SessionStore {
  readonly #options: StoreOptions;
  /** By id. */
  readonly #active = new Map<string, Active>();
  /** Keys: hashes of session ids. */
  readonly #dormant = new Map<string, Dormant>();
  readonly #changed = new Set<Active>();
  /** Hashes of sessions that clients ended here; the previous daemon may still hand them over. */
  readonly #ended = new Map<string, true>();
  #restored: Promise<void> | null = null;
  #isEnding = false;
  #idleTimer: Timer | null = null;
  #saveTimer: Timer | null = null;
  /** Resolves when no call is in flight; null: the store is not ending. */
  #idle: PromiseWithResolvers<void> | null = null;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#active.size + this.#dormant.size;
  }

  get inFlight(): number {
    return this.#sessions.reduce((sum, session) => sum + session.inFlight, 0);
  }

  get openQuestions(): number {
    return this.#sessions.reduce((sum, session) => sum + session.openQuestions, 0);
  }

  /**
   * Frees a slot for one session. A principal at its limit loses its own oldest idle session. If the table is full, the
   * principal with the most idle sessions loses its oldest one; principals with fewer sessions than `principal` lose
   * none.
   */
  admit(principal: Principal): Admission {
    const allowed = this.#options.gateway.sessionsAllowed();
    if (this.size < Math.min(allowed, SESSION_LIMIT)) return { kind: "room" };
    const key = principalKey(principal);
    const own = this.#entries.filter(({ owner }) => owner() === key);
    // Several sessions may have to end after the limit was lowered.
    while (own.length >= allowed) {
      if (!this.#endOne(own)) return { kind: "too_many", allowed };
    }
    if (this.size < SESSION_LIMIT || this.#endOne(this.#idleOfLargest(own.length))) return { kind: "room" };
    return { kind: "full", sessions: this.size };
  }

  /**
   * Ends an idle session: one that was never used, else the one that was used longest ago. Of those that have just begun,
   * only if they are most: the client's next request may be on its way. False: all are busy.
   */
  #endOne(entries: Entry[]): boolean {
    const sinceMs = this.#options.clock.monotonicMs() - BEGINNING_MS;
    const isBeginning = ({ isUsed, usedMs }: Entry): boolean => !isUsed && usedMs > sinceMs;
    const areMost = entries.filter(isBeginning).length > entries.length / 2;
    const rank = (entry: Entry): number => (entry.isUsed || (isBeginning(entry) && !areMost) ? 1 : 0);
    const [first] = entries
      .filter(({ busy }) => !busy())
      .sort((a, b) => rank(a) - rank(b) || a.usedMs - b.usedMs);
    if (first === undefined) return false;
    entries.splice(entries.indexOf(first), 1);
    first.end("evicted: too many newer sessions");
    return true;
  }

  get #entries(): Entry[] {
    return [...this.#dormant.values(), ...this.#active.values()];
  }

  /**
   * The idle sessions of the principal that has the most idle ones, among the principals with at least `atLeast`
   * sessions.
   */
  #idleOfLargest(atLeast: number): Entry[] {
    return [...Map.groupBy(this.#entries, ({ owner }) => owner()).values()]
      .filter(({ length }) => length >= atLeast)
      .map((own) => own.filter(({ busy }) => !busy()))
      .reduce((a, b) => (b.length > a.length ? b : a), []);
  }

  /** Reads the saved sessions, once. Never rejects. */
  restore(): Promise<void> {
    this.#restored ??= this.#restore();
    return this.#restored;
  }

  /** Takes a session from another daemon; resolves when it is saved or cannot be. */
  async adopt(hash: string, record: SessionRecord): Promise<StoredSession | undefined> {
    await this.restore();
    // The client has since used or ended the session here, so the record is out of date.
    if (this.#byHash(hash) !== undefined || this.#ended.has(hash)) return;
    this.#addDormant(hash, record, this.#options.clock.monotonicMs());
    return this.#options.file?.keep(hash, record);
  }

  /** Removes a session that its client has ended. No daemon resumes it. */
  remove(session: Session): void {
    const active = this.#active.get(session.sessionId);
    session.end(ENDED_BY_CLIENT);
    if (active !== undefined) this.#recordEnded(active.hash);
  }

  /** The client has ended the session at another daemon. */
  async removeOfPeer(hash: string): Promise<void> {
    await this.restore();
    const entry = this.#dormant.get(hash) ?? this.#byHash(hash);
    entry?.end(ENDED_BY_CLIENT);
    this.#recordEnded(hash);
  }

  #recordEnded(hash: string): void {
    const { file, neighbours } = this.#options;
    file?.drop(hash, true);
    if ((neighbours?.previous ?? null) === null) return;
    this.#ended.set(hash, true);
    dropOldest(this.#ended, MOST_ENDED);
  }

  /** Takes a message that the client sent to the daemon on that side, about a call that may be in flight here. */
  deliver(message: ClientMessage, from: Side): void {
    const session = this.#byHash(message.hash)?.session;
    if (session === undefined) {
      this.#options.neighbours?.pass(message, from);
      return;
    }
    void readIncoming(Buffer.from(message.text), session, (incoming) => {
      if (incoming.kind !== "message" || incoming.message.kind === "request") return;
      session.handle(incoming.message, from);
    });
  }

  /** The saved form of an active session; null: it has ended. */
  recordOf(session: Session): SessionRecord | null {
    const active = this.#active.get(session.sessionId);
    return active === undefined ? null : this.#recordOf(active);
  }

  /** Continues a session of the previous daemon that ends with its connection. */
  continuePassing(
    record: SessionRecord,
    principal: Principal,
    limit: Pick<ClientHandle, "messageLimitBytes">,
  ): Session {
    const id = newSessionId(null);
    const entry = { hash: sha256Of(id), record };
    return this.#resume(entry, id, principal, { ...limit, transport: "sse", isPassing: true }).session;
  }

  open(options: NewSession): Session {
    const check = machineOf(options.id) === null ? null : checkOf(proofOf(options.id));
    return this.#add(options, sha256Of(options.id), check).session;
  }

  has(id: string): boolean {
    return this.#active.has(id);
  }

  /** Resolves when the session is saved, or saving has failed. Null: there is nothing to save. */
  save(session: Session): Promise<StoredSession> | null {
    const { file } = this.#options;
    const active = this.#active.get(session.sessionId);
    return file === undefined || active === undefined || active.isPassing ? null : this.#save(file, active);
  }

  /** The session of that id, which counts as used now. "foreign": it belongs to another principal. */
  find(id: string, principal: Principal): Session | "foreign" | null {
    const active = this.#active.get(id) ?? this.#byIdHash(id, principal);
    if (active === null || active === "foreign") return active;
    if (!active.session.identify(principal)) return "foreign";
    active.lastLocalPrincipal = principal;
    active.usedMs = this.#options.clock.monotonicMs();
    active.isUsed = true;
    return active.session;
  }

  /**
   * Finds a session by the proof of the session's id, for a client that another machine has authenticated as `caller`.
   * The session gets the principal that this client acts as. "foreign": the session does not belong to `caller`.
   */
  findShared(proof: string, caller: Principal): Session | "foreign" | null {
    const { served } = this.#options.gateway;
    const check = checkOf(proof);
    const active = this.#active.values().find((one) => one.check === check);
    if (active !== undefined) {
      const acting = actingPrincipal(caller, active.lastLocalPrincipal, served);
      return acting !== null && active.session.identify(acting) ? active.session : "foreign";
    }
    const dormant = this.#dormant.values().find(({ record }) => record.shared?.check === check);
    if (dormant === undefined || this.#isTooOld(dormant)) return null;
    const own = { ...caller, roles: dormant.record.shared?.roles ?? [] };
    const acting =
      principalKey(own) === dormant.record.principal ? actingPrincipal(caller, own, served) : null;
    if (acting === null) return "foreign";
    // This machine does not know the session's id, so it makes another one. For requests that the client sends
    // directly to this machine, `find` finds the session by the hash of the id in the request.
    const resumed = this.#resume(dormant, newSessionId(null), acting);
    resumed.lastLocalPrincipal = own;
    return resumed.session;
  }

  /** Ends listening streams, waits `graceMs` at most for calls in flight, and ends every session; the file keeps them. */
  async end(graceMs: number, reason: string): Promise<void> {
    this.#idle = Promise.withResolvers<void>();
    this.endStreams();
    if (this.inFlight > 0 && graceMs > 0) {
      await settlesWithin(this.#options.clock, graceMs, this.#idle.promise);
    }
    this.#isEnding = true;
    this.saveAll();
    for (const session of this.#sessions) session.end(reason);
    this.#stopTimers();
  }

  endStreams(): void {
    for (const session of this.#sessions) session.endStreams();
  }

  #byHash(hash: string): Active | undefined {
    return this.#active.values().find((active) => active.hash === hash);
  }

  get #sessions(): readonly Session[] {
    return [...this.#active.values()].map(({ session }) => session);
  }

  readonly #endIdle = (): void => {
    for (const entry of this.#entries) if (!entry.busy()) this.#isTooOld(entry);
    this.saveAll();
    this.#idleTimer = null;
    if (this.size > 0) this.#startIdleTimer();
  };

  #startIdleTimer(): void {
    this.#idleTimer ??= this.#options.clock.setTimer(IDLE_CHECK_MS, this.#endIdle);
  }

  #stopTimers(): void {
    this.#idleTimer?.[Symbol.dispose]();
    this.#idleTimer = null;
    this.#saveTimer?.[Symbol.dispose]();
    this.#saveTimer = null;
  }

  async #restore(): Promise<void> {
    const { file, clock } = this.#options;
    const records = (await file?.load()) ?? [];
    for (const [hash, record] of records) {
      // After the wall clock was set back, `usedMs` may be in the future.
      const agoMs = Math.max(0, clock.wallMs() - record.usedMs);
      if (agoMs >= IDLE_LIMIT_MS) file?.drop(hash);
      else this.#addDormant(hash, record, clock.monotonicMs() - agoMs);
    }
  }

  #addDormant(hash: string, record: SessionRecord, usedMs: number): void {
    const end = (): void => {
      this.#dormant.delete(hash);
      this.#options.file?.drop(hash);
    };
    const owner = (): string => record.principal;
    this.#dormant.set(hash, { hash, record, usedMs, isUsed: true, owner, busy: () => false, end });
    this.#startIdleTimer();
  }

  /** Returns an active session with this id. If there is only a saved one, resumes it now. */
  #byIdHash(id: string, principal: Principal): Active | "foreign" | null {
    const hash = sha256Of(id);
    const active = this.#byHash(hash);
    if (active !== undefined) return active;
    const dormant = this.#dormant.get(hash);
    if (dormant === undefined || this.#isTooOld(dormant)) return null;
    return mayResumeAs(dormant.record.principal, principal)
      ? this.#resume(dormant, id, principal)
      : "foreign";
  }

  /** True: the session has been idle for too long, and is ended. */
  #isTooOld(entry: Entry): boolean {
    if (entry.usedMs > this.#options.clock.monotonicMs() - IDLE_LIMIT_MS) return false;
    entry.end("the session was idle for a day");
    return true;
  }

  #resume(
    { hash, record }: Pick<Dormant, "hash" | "record">,
    id: string,
    principal: Principal,
    kind: Pick<NewSession, "transport" | "isPassing" | "messageLimitBytes"> = {},
  ): Active {
    this.#dormant.delete(hash);
    const { protocolVersion, capabilities, clientInfo, group = null, logLevel } = record;
    const client = { protocolVersion, capabilities, clientInfo, group, logLevel };
    const active = this.#add({ id, principal, ...client, ...kind }, hash, record.shared?.check ?? null);
    this.#options.gateway.resumed(active.session, record.lists);
    active.session.subscribeAgain(record.subscriptions);
    this.#saveLater(active);
    return active;
  }

  #add({ isPassing = false, ...options }: NewSession, hash: string, check: string | null): Active {
    const { gateway, clock, logger, file, neighbours } = this.#options;
    const session = new Session({
      ...options,
      gateway,
      logger,
      onAnswered: () => {
        if (this.#idle !== null && this.inFlight === 0) this.#idle.resolve();
      },
      onEnded: () => {
        this.#active.delete(session.sessionId);
        this.#changed.delete(active);
        if (!this.#isEnding) file?.drop(hash);
        if (this.size === 0) this.#stopTimers();
      },
      onChanged: () => this.#saveLater(active),
      onForeign: (text, from) => neighbours?.pass({ hash, text }, from),
    });
    const nowMs = clock.monotonicMs();
    const active: Active = {
      hash,
      session,
      isPassing,
      check,
      lastLocalPrincipal: session.principal,
      usedMs: nowMs,
      savedMs: nowMs,
      isUsed: false,
      owner: () => principalKey(session.principal),
      busy: () => session.busy,
      end: (reason) => session.end(reason),
    };
    this.#active.set(session.sessionId, active);
    this.#startIdleTimer();
    return active;
  }

  #saveLater(active: Active): void {
    if (this.#options.file === undefined) return;
    this.#changed.add(active);
    this.#saveTimer ??= this.#options.clock.setTimer(SAVE_DELAY_MS, () => {
      this.#saveTimer = null;
      this.#saveChanged();
    });
  }

  #saveChanged(): void {
    const { file } = this.#options;
    const changed = [...this.#changed].filter(({ isPassing }) => !isPassing);
    this.#changed.clear();
    if (file !== undefined) for (const active of changed) void this.#save(file, active);
  }

  /** Saves all changed sessions; for the other sessions, saves only the time of their last use. */
  saveAll(): void {
    for (const active of this.#active.values()) {
      if (active.busy() || active.usedMs > active.savedMs) this.#changed.add(active);
    }
    this.#saveChanged();
  }

  #save(file: SessionFile, active: Active): Promise<StoredSession> {
    active.savedMs = active.usedMs;
    return file.keep(active.hash, this.#recordOf(active));
  }

  #recordOf({ session, check, lastLocalPrincipal, busy, usedMs }: Active): SessionRecord {
    const { gateway, clock } = this.#options;
    const { protocolVersion, capabilities, clientInfo, group, logLevel, pendingListChanges, subscriptions } =
      session;
    const lists = gateway.knownLists(session);
    const listOf = (kind: ListKind): string => (pendingListChanges.has(kind) ? "" : lists[kind]);
    return {
      principal: principalKey(session.principal),
      protocolVersion,
      capabilities,
      clientInfo,
      group,
      ...(check === null ? {} : { shared: { check, roles: lastLocalPrincipal.roles } }),
      logLevel,
      subscriptions,
      lists: { tools: listOf("tools"), resources: listOf("resources"), prompts: listOf("prompts") },
      usedMs: clock.wallMs() - (busy() ? 0 : clock.monotonicMs() - usedMs),
    };
  }
}
