// The sessions that clients name by id: how many there may be, which end to make room, and how all end together.
import type { Logger } from "../../../runtime/log/log.ts";
import { type Clock, settledWithin, type Timer } from "../../../runtime/time/clock.ts";
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
}

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

  /** Room for one more, made by ending the one that was used longest ago and is idle; false: all are busy. */
  makeRoom(): boolean {
    if (this.size < SESSION_LIMIT) return true;
    let oldest: Kept | null = null;
    for (const one of this.#kept.values()) {
      if (!one.session.busy && (oldest === null || one.usedMs < oldest.usedMs)) oldest = one;
    }
    oldest?.session.end("the session gave way to newer ones");
    return this.size < SESSION_LIMIT;
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
    this.#kept.set(session.sessionId, { session, usedMs: clock.monotonicMs() });
    this.#timer ??= clock.setTimer(IDLE_LOOK_MS, this.#look);
    return session;
  }

  /** The session of that id, which counts as used now. */
  find(id: string): Session | null {
    const one = this.#kept.get(id);
    if (one === undefined) return null;
    one.usedMs = this.#options.clock.monotonicMs();
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
