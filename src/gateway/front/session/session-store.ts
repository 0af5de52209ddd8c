// The sessions that clients name by id: how many there may be, which end to make room, and how all end together.
import type { Logger } from "../../../runtime/log/log.ts";
import { type Clock, settledWithin, type Timer } from "../../../runtime/time/clock.ts";
import { type Principal, principalKey } from "../../client-port.ts";
import type { FrontGateway } from "./front-contract.ts";
import { Session, type SessionOptions } from "./session.ts";

export const SESSION_LIMIT = 1_000;
/** Without a stream or a call. */
export const IDLE_LIMIT_MS = 24 * 3_600_000;
const IDLE_LOOK_MS = 3_600_000;

interface StoreOptions {
  readonly gateway: FrontGateway;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Kept {
  readonly session: Session;
  usedMs: number;
  /** Something came after `initialize`. */
  isUsed: boolean;
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
  #timer: Timer | null = null;
  /** Resolves when nothing is in flight; null: it does not end yet. */
  #idle: PromiseWithResolvers<void> | null = null;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#kept.size;
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
  #of({ kind, id, name }: Principal): Kept[] {
    const own: Kept[] = [];
    for (const kept of this.#kept.values()) {
      const { principal } = kept.session;
      if (principal.kind !== kind || principal.id !== id) continue;
      if (id !== undefined || principal.name === name) own.push(kept);
    }
    return own;
  }

  /** Those of the principal that has most idle ones, of principals that have at least so many. */
  #ofWhoHasMost(atLeast: number): Kept[] {
    const byPrincipal = Map.groupBy(this.#kept.values(), ({ session }) => principalKey(session.principal));
    let most: Kept[] = [];
    for (const all of byPrincipal.values()) {
      const idle = all.filter(({ session }) => !session.busy);
      if (all.length >= atLeast && idle.length > most.length) most = idle;
    }
    return most;
  }

  open(options: Omit<SessionOptions, "gateway" | "logger" | "onSettled" | "onEnded">): Session {
    const { gateway, clock, logger } = this.#options;
    const session = new Session({
      ...options,
      gateway,
      logger,
      onSettled: () => {
        if (this.#idle !== null && this.inFlight === 0) this.#idle.resolve();
      },
      onEnded: () => {
        this.#kept.delete(session.sessionId);
        if (this.size === 0) this.#rest();
      },
    });
    this.#kept.set(session.sessionId, { session, usedMs: clock.monotonicMs(), isUsed: false });
    this.#timer ??= clock.setTimer(IDLE_LOOK_MS, this.#look);
    return session;
  }

  /** The session of that id, which counts as used now. */
  find(id: string): Session | null {
    const one = this.#kept.get(id);
    if (one === undefined) return null;
    one.usedMs = this.#options.clock.monotonicMs();
    one.isUsed = true;
    return one.session;
  }

  /** Ends the streams on which clients listen, waits `graceMs` at most for calls in flight, and ends every session. */
  async end(graceMs: number, reason: string): Promise<void> {
    this.#idle = Promise.withResolvers<void>();
    for (const session of this.#sessions) session.endStreams();
    if (this.inFlight > 0 && graceMs > 0) {
      await settledWithin(this.#options.clock, graceMs, this.#idle.promise);
    }
    for (const session of this.#sessions) session.end(reason);
    this.#rest();
  }

  get #sessions(): readonly Session[] {
    return [...this.#kept.values()].map(({ session }) => session);
  }

  readonly #look = (): void => {
    const { clock } = this.#options;
    this.#timer = null;
    const before = clock.monotonicMs() - IDLE_LIMIT_MS;
    for (const { session, usedMs } of [...this.#kept.values()]) {
      if (usedMs <= before && !session.busy) session.end("the session was idle for a day");
    }
    if (this.size > 0) this.#timer = clock.setTimer(IDLE_LOOK_MS, this.#look);
  };

  #rest(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }
}

/** Ends the idle one that was used longest ago, those first that never were; false: all are busy. */
function endOldest(among: Kept[]): boolean {
  let oldest: Kept | null = null;
  for (const one of among) {
    if (one.session.busy) continue;
    if (oldest === null || isOlder(one, oldest)) oldest = one;
  }
  if (oldest === null) return false;
  among.splice(among.indexOf(oldest), 1);
  oldest.session.end("the session gave way to newer ones");
  return true;
}

function isOlder(one: Kept, other: Kept): boolean {
  return one.isUsed === other.isUsed ? one.usedMs < other.usedMs : other.isUsed;
}
