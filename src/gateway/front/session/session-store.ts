// The sessions that clients name by id: how many there may be, which end to make room, how all end together, and which
// go on after a restart.
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { settledWithin, type Timer } from "../../../runtime/time/clock.ts";
import { mayGoOn, type Principal, principalKey } from "../../client-port.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import type { ListKind } from "../../protocol.ts";
import type { FrontGateway } from "./front-contract.ts";
import { readIncoming } from "./incoming.ts";
import { Session, type SessionOptions } from "./session.ts";
import type { SessionFile } from "./session-file.ts";
import {
  actingPrincipal,
  checkOf,
  holderOf,
  newSessionId,
  proofOf,
  type SessionRecord,
} from "./session-record.ts";

export const SESSION_LIMIT = 1_000;
/** Without a stream or a call. */
export const IDLE_LIMIT_MS = 24 * 3_600_000;
const IDLE_LOOK_MS = 3_600_000;
const ENDED_BY_CLIENT = "the client ended the session";
/** Sessions that clients ended, of which that is remembered. */
const MOST_OVER = SESSION_LIMIT;
/** What changes of sessions that their clients know already is written this much later, together. */
const NOTE_MS = 1_000;

/** Takes JSON-RPC of a client that is about nothing here, with the SHA-256 of its session's id. */
export type PassBack = (words: { readonly hash: string; readonly text: string }) => void;

export interface StoreOptions extends GatewayTools {
  readonly gateway: FrontGateway;
  /** Where they outlive a restart; absent: they do not. */
  readonly file?: SessionFile | undefined;
  /** To where something of the client may still be in flight; absent: nowhere. */
  readonly passBack?: PassBack | undefined;
}

interface Seat {
  readonly hash: string;
  /** Monotonic ms. */
  usedMs: number;
  /** Something came after `initialize`. */
  isUsed: boolean;
  readonly busy: () => boolean;
  end(reason: string): void;
}

interface Kept extends Seat {
  readonly session: Session;
  readonly isPassing: boolean;
  /** What tells that another machine's client knows its id; null: it is not shared. */
  readonly check: string | null;
  /** Whose it is, as this machine itself found that last, whatever another one said since. */
  own: Principal;
  /** As it was saved last. */
  savedMs: number;
}

/** Of before a restart; its client has not come back yet. */
interface Asleep extends Seat {
  readonly record: SessionRecord;
}

interface NewSession
  extends Omit<SessionOptions, "gateway" | "logger" | "onSettled" | "onEnded" | "onChanged" | "onForeign"> {
  /** It ends with its connection: nobody can come back to it after a restart. */
  readonly isPassing?: boolean;
}

type Room =
  | { readonly kind: "room" }
  /** That principal has as many as it may have, all in use. */
  | { readonly kind: "too_many"; readonly allowed: number }
  /** All are in use. */
  | { readonly kind: "full"; readonly sessions: number };

export class SessionStore {
  readonly #options: StoreOptions;
  readonly #kept = new Map<string, Kept>();
  /** By the SHA-256 of their ids. */
  readonly #asleep = new Map<string, Asleep>();
  /** By hash, those whose id is not known here: since a restart their clients came by way of other machines alone. */
  readonly #unnamed = new Map<string, Kept>();
  readonly #changed = new Set<Kept>();
  /** By hash, those that clients ended here, and of which the daemon before may still tell. */
  readonly #over = new Set<string>();
  #restored: Promise<void> | null = null;
  #isEnding = false;
  #timer: Timer | null = null;
  #noteTimer: Timer | null = null;
  /** Resolves when nothing is in flight; null: it does not end yet. */
  #idle: PromiseWithResolvers<void> | null = null;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#kept.size + this.#asleep.size;
  }

  get inFlight(): number {
    return this.#sessions.reduce((sum, session) => sum + session.inFlight, 0);
  }

  get openQuestions(): number {
    return this.#sessions.reduce((sum, session) => sum + session.openQuestions, 0);
  }

  /**
   * Room for one more of that principal. One that has as many as it may have gives up its own; a full table takes from
   * the principal that has most, so that nobody loses a session to one who has more.
   */
  makeRoom(principal: Principal): Room {
    const { gateway } = this.#options;
    const allowed = gateway.sessionsAllowed(principal);
    const own = this.#of(principal);
    // More than one, where the limit was lowered.
    while (own.length >= allowed) {
      if (!endOldest(own)) return { kind: "too_many", allowed };
    }
    if (this.size < SESSION_LIMIT || endOldest(this.#ofWhoHasMost(own.length))) return { kind: "room" };
    return { kind: "full", sessions: this.size };
  }

  /** As `principalKey` tells them apart, without a text for each. */
  #of(principal: Principal): Seat[] {
    const { kind, id, name } = principal;
    const key = principalKey(principal);
    const own: Seat[] = [...this.#asleep.values()].filter(({ record }) => record.principal === key);
    for (const kept of this.#kept.values()) {
      const other = kept.session.principal;
      if (other.kind !== kind || other.id !== id) continue;
      if (id !== undefined || other.name === name) own.push(kept);
    }
    return own;
  }

  /** Those of the principal that has most idle ones, of principals that have at least so many. */
  #ofWhoHasMost(atLeast: number): Seat[] {
    const seats: readonly (Kept | Asleep)[] = [...this.#kept.values(), ...this.#asleep.values()];
    const byPrincipal = Map.groupBy(seats, (seat) =>
      "record" in seat ? seat.record.principal : principalKey(seat.session.principal),
    );
    let most: Seat[] = [];
    for (const all of byPrincipal.values()) {
      const idle = all.filter(({ busy }) => !busy());
      if (all.length >= atLeast && idle.length > most.length) most = idle;
    }
    return most;
  }

  /** Reads the sessions of before a restart, once; they are there when it resolves. Never rejects. */
  restore(): Promise<void> {
    this.#restored ??= this.#restore();
    return this.#restored;
  }

  /** One that its client began elsewhere; resolves when it outlives a restart, or cannot. */
  async adopt(hash: string, record: SessionRecord): Promise<unknown> {
    await this.restore();
    // Its client has been here meanwhile, and knows better.
    if (this.#byHash(hash) !== undefined || this.#over.has(hash)) return;
    this.#asleep.set(hash, this.#asleepSeat(hash, record, this.#options.clock.monotonicMs()));
    this.#timer ??= this.#options.clock.setTimer(IDLE_LOOK_MS, this.#look);
    return this.#options.file?.keep(hash, record);
  }

  /** The client ends it, wherever it might go on. */
  remove(session: Session): void {
    const kept = this.#kept.get(session.sessionId);
    session.end(ENDED_BY_CLIENT);
    if (kept !== undefined) this.#isOver(kept.hash);
  }

  /** As `remove`, of one that its client ended elsewhere. */
  async removeElsewhere(hash: string): Promise<void> {
    await this.restore();
    const seat = this.#asleep.get(hash) ?? this.#byHash(hash);
    seat?.end(ENDED_BY_CLIENT);
    this.#isOver(hash);
  }

  /** Its client has ended it: no daemon goes on with it, neither the next one nor this one for the one before. */
  #isOver(hash: string): void {
    const { file, passBack } = this.#options;
    file?.drop(hash, true);
    if (passBack === undefined) return;
    this.#over.add(hash);
    for (const oldest of this.#over) {
      if (this.#over.size <= MOST_OVER) break;
      this.#over.delete(oldest);
    }
  }

  /** What its client said elsewhere about something in flight here. */
  hear(hash: string, text: string): void {
    const session = this.#byHash(hash)?.session;
    if (session === undefined) {
      // It began in the daemon before, and its client has not been here since.
      this.#options.passBack?.({ hash, text });
      return;
    }
    const incoming = readIncoming(Buffer.from(text), session);
    if (incoming.kind !== "message" || incoming.message.kind === "request") return;
    session.handle(incoming.message);
  }

  open(options: NewSession): Session {
    const check = holderOf(options.id) === null ? null : checkOf(proofOf(options.id));
    return this.#add(options, sha256Of(options.id), check).session;
  }

  /** Whether it is here by that id, and has been used since the start. */
  has(id: string): boolean {
    return this.#kept.has(id);
  }

  /** Resolves when the session outlives a restart, or cannot. Null: there is no file. */
  save(session: Session): Promise<unknown> | null {
    const { file } = this.#options;
    const kept = this.#kept.get(session.sessionId);
    return file === undefined || kept === undefined || kept.isPassing ? null : this.#save(file, kept);
  }

  /** The session of that id, which counts as used now. "foreign": it is another principal's. */
  find(id: string, principal: Principal): Session | "foreign" | null {
    const one = this.#kept.get(id) ?? this.#unnamedOf(id) ?? this.#wake(id, principal);
    if (one === null || one === "foreign") return one;
    if (!one.session.identify(principal)) return "foreign";
    one.own = principal;
    one.usedMs = this.#options.clock.monotonicMs();
    one.isUsed = true;
    return one.session;
  }

  /**
   * The session that another machine's client knows, as `proof` says; its principal is whom that client acts for from now
   * on. "foreign": it is not `said`'s.
   */
  findShared(proof: string, said: Principal): Session | "foreign" | null {
    const { served } = this.#options.gateway;
    const check = checkOf(proof);
    const kept = this.#kept.values().find((one) => one.check === check);
    if (kept !== undefined) {
      const acting = actingPrincipal(said, kept.own, served);
      return acting !== null && kept.session.identify(acting) ? kept.session : "foreign";
    }
    const seat = this.#asleep.values().find(({ record }) => record.shared?.check === check);
    if (seat === undefined || this.#isTooOld(seat)) return null;
    const own = { ...said, roles: seat.record.shared?.roles ?? [] };
    const acting = principalKey(own) === seat.record.principal ? actingPrincipal(said, own, served) : null;
    if (acting === null) return "foreign";
    const woken = this.#goOn(seat, newSessionId(null), acting);
    woken.own = own;
    this.#unnamed.set(seat.hash, woken);
    return woken.session;
  }

  /** Ends the streams on which clients listen, waits `graceMs` at most for calls in flight, and ends every session. */
  async end(graceMs: number, reason: string): Promise<void> {
    this.#idle = Promise.withResolvers<void>();
    this.endStreams();
    if (this.inFlight > 0 && graceMs > 0) {
      await settledWithin(this.#options.clock, graceMs, this.#idle.promise);
    }
    // They go on with the next gateway.
    this.#isEnding = true;
    this.saveAll();
    for (const session of this.#sessions) session.end(reason);
    this.#rest();
  }

  endStreams(): void {
    for (const session of this.#sessions) session.endStreams();
  }

  #byHash(hash: string): Kept | undefined {
    return this.#kept.values().find((kept) => kept.hash === hash);
  }

  get #sessions(): readonly Session[] {
    return [...this.#kept.values()].map(({ session }) => session);
  }

  readonly #look = (): void => {
    const { clock } = this.#options;
    this.#timer = null;
    const nowMs = clock.monotonicMs();
    for (const seat of [...this.#kept.values(), ...this.#asleep.values()]) {
      if (seat.usedMs <= nowMs - IDLE_LIMIT_MS && !seat.busy()) seat.end("the session was idle for a day");
    }
    this.saveAll();
    if (this.size > 0) this.#timer = clock.setTimer(IDLE_LOOK_MS, this.#look);
  };

  #rest(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    this.#noteTimer?.[Symbol.dispose]();
    this.#noteTimer = null;
  }

  async #restore(): Promise<void> {
    const { file, clock } = this.#options;
    const records = (await file?.load()) ?? [];
    for (const [hash, record] of records) {
      // A wall clock that was set back makes no session younger than now.
      const agoMs = Math.max(0, clock.wallMs() - record.usedMs);
      if (agoMs >= IDLE_LIMIT_MS) file?.drop(hash);
      else this.#asleep.set(hash, this.#asleepSeat(hash, record, clock.monotonicMs() - agoMs));
    }
    if (this.size > 0) this.#timer ??= clock.setTimer(IDLE_LOOK_MS, this.#look);
  }

  #asleepSeat(hash: string, record: SessionRecord, usedMs: number): Asleep {
    const end = (): void => {
      this.#asleep.delete(hash);
      this.#options.file?.drop(hash);
    };
    return { hash, record, usedMs, isUsed: true, busy: () => false, end };
  }

  /** The session of before a restart, when its client is back. */
  #wake(id: string, principal: Principal): Kept | "foreign" | null {
    if (this.#asleep.size === 0) return null;
    const seat = this.#asleep.get(sha256Of(id));
    if (seat === undefined || this.#isTooOld(seat)) return null;
    return mayGoOn(seat.record.principal, principal) ? this.#goOn(seat, id, principal) : "foreign";
  }

  #unnamedOf(id: string): Kept | undefined {
    return this.#unnamed.size === 0 ? undefined : this.#unnamed.get(sha256Of(id));
  }

  /** True, and it has ended. */
  #isTooOld(seat: Asleep): boolean {
    if (seat.usedMs > this.#options.clock.monotonicMs() - IDLE_LIMIT_MS) return false;
    seat.end("the session was idle for a day");
    return true;
  }

  #goOn({ hash, record }: Asleep, id: string, principal: Principal): Kept {
    this.#asleep.delete(hash);
    const { protocolVersion, capabilities, clientInfo, group = null, logLevel } = record;
    const said = { protocolVersion, capabilities, clientInfo, group, logLevel };
    const kept = this.#add({ id, principal, ...said }, hash, record.shared?.check ?? null);
    this.#options.gateway.resumed(kept.session, record.lists);
    kept.session.subscribeAgain(record.subscriptions);
    this.#note(kept);
    return kept;
  }

  #add({ isPassing = false, ...options }: NewSession, hash: string, check: string | null): Kept {
    const { gateway, clock, logger, file, passBack } = this.#options;
    const session = new Session({
      ...options,
      gateway,
      logger,
      onSettled: () => {
        if (this.#idle !== null && this.inFlight === 0) this.#idle.resolve();
      },
      onEnded: () => {
        this.#kept.delete(session.sessionId);
        this.#unnamed.delete(hash);
        this.#changed.delete(kept);
        if (!this.#isEnding && !isPassing) file?.drop(hash);
        if (this.size === 0) this.#rest();
      },
      onChanged: () => this.#note(kept),
      onForeign: (text) => passBack?.({ hash, text }),
    });
    const nowMs = clock.monotonicMs();
    const kept: Kept = {
      hash,
      session,
      isPassing,
      check,
      own: session.principal,
      usedMs: nowMs,
      savedMs: nowMs,
      isUsed: false,
      busy: () => session.busy,
      end: (reason) => session.end(reason),
    };
    this.#kept.set(session.sessionId, kept);
    this.#timer ??= clock.setTimer(IDLE_LOOK_MS, this.#look);
    return kept;
  }

  #note(kept: Kept): void {
    if (this.#options.file === undefined || this.#isEnding || kept.isPassing) return;
    this.#changed.add(kept);
    this.#noteTimer ??= this.#options.clock.setTimer(NOTE_MS, () => {
      this.#noteTimer = null;
      this.#saveChanged();
    });
  }

  #saveChanged(): void {
    const { file } = this.#options;
    const changed = [...this.#changed];
    this.#changed.clear();
    if (file !== undefined) for (const kept of changed) void this.#save(file, kept);
  }

  /** Also when they were used last. */
  saveAll(): void {
    for (const kept of this.#kept.values()) {
      if (!kept.isPassing && (kept.busy() || kept.usedMs > kept.savedMs)) this.#changed.add(kept);
    }
    this.#saveChanged();
  }

  #save(file: SessionFile, kept: Kept): Promise<boolean> {
    const { gateway, clock } = this.#options;
    const { hash, session, check, own, busy, usedMs } = kept;
    const { protocolVersion, capabilities, clientInfo, group, logLevel, owed, subscriptions } = session;
    const seen = gateway.listsSeen(session);
    const listOf = (kind: ListKind): string => (owed.has(kind) ? "" : seen[kind]);
    kept.savedMs = usedMs;
    return file.keep(hash, {
      principal: principalKey(session.principal),
      protocolVersion,
      capabilities,
      clientInfo,
      group,
      ...(check === null ? {} : { shared: { check, roles: own.roles } }),
      logLevel,
      subscriptions,
      lists: { tools: listOf("tools"), resources: listOf("resources"), prompts: listOf("prompts") },
      usedMs: clock.wallMs() - (busy() ? 0 : clock.monotonicMs() - usedMs),
    });
  }
}

/** Ends the idle one that was used longest ago, those first that never were; false: all are busy. */
function endOldest(among: Seat[]): boolean {
  let oldest: Seat | null = null;
  for (const one of among) {
    if (one.busy()) continue;
    if (oldest === null || isOlder(one, oldest)) oldest = one;
  }
  if (oldest === null) return false;
  among.splice(among.indexOf(oldest), 1);
  oldest.end("the session gave way to newer ones");
  return true;
}

function isOlder(one: Seat, other: Seat): boolean {
  return one.isUsed === other.isUsed ? one.usedMs < other.usedMs : other.isUsed;
}
