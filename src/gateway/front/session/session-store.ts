// Owns the sessions that clients name by id: how many there may be, and which end to make room.
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import type { Session } from "./session.ts";

export const SESSION_LIMIT = 1_000;
/** Without a stream or a call. */
export const IDLE_LIMIT_MS = 24 * 3_600_000;
const IDLE_LOOK_MS = 3_600_000;

interface Kept {
  readonly session: Session;
  usedMs: number;
}

export interface SessionStore extends Disposable {
  readonly size: number;
  readonly sessions: Iterable<Session>;
  /** Room for one more, made by ending the one that was used longest ago and is idle; false: all are busy. */
  makeRoom(): boolean;
  add(session: Session): void;
  /** The session of that id, which counts as used now. */
  find(id: string): Session | null;
  delete(session: Session): void;
}

export function createSessionStore(clock: Clock): SessionStore {
  const kept = new Map<string, Kept>();
  let timer: Timer | null = null;

  const look = (): void => {
    timer = null;
    const before = clock.monotonicMs() - IDLE_LIMIT_MS;
    for (const { session, usedMs } of [...kept.values()]) {
      if (usedMs <= before && !session.busy) session.end("the session was idle for a day");
    }
    if (kept.size > 0) timer = clock.setTimer(IDLE_LOOK_MS, look);
  };
  function* each(): Iterable<Session> {
    for (const { session } of [...kept.values()]) yield session;
  }
  const rest = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
  };

  return {
    get size() {
      return kept.size;
    },
    get sessions() {
      return each();
    },
    makeRoom() {
      if (kept.size < SESSION_LIMIT) return true;
      let oldest: Kept | null = null;
      for (const one of kept.values()) {
        if (!one.session.busy && (oldest === null || one.usedMs < oldest.usedMs)) oldest = one;
      }
      oldest?.session.end("the session gave way to newer ones");
      return kept.size < SESSION_LIMIT;
    },
    add(session) {
      kept.set(session.sessionId, { session, usedMs: clock.monotonicMs() });
      timer ??= clock.setTimer(IDLE_LOOK_MS, look);
    },
    find(id) {
      const one = kept.get(id);
      if (one === undefined) return null;
      one.usedMs = clock.monotonicMs();
      return one.session;
    },
    delete(session) {
      kept.delete(session.sessionId);
      if (kept.size === 0) rest();
    },
    [Symbol.dispose]: rest,
  };
}
