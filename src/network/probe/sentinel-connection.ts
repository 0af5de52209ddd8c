// A sentinel connection: an open, idle connection, which proves that the server behind an address has been the same since
// it was opened. Its loss shows that the host is gone.
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { ProbedConnection } from "./host-probe.ts";

/**
 * Age at which a connection is replaced by a new one, ms: servers end connections without a login, Samba
 * after 60 s.
 */
const RENEW_AFTER_MS = 20_000;
const RENEW_AGAIN_MS = 5_000;
const ANSWER_WITHIN_MS = 1_000;

interface SentinelOptions {
  readonly clock: Clock;
  /** Connects and proves the server; null: no answer. Calls `onGone` when the connection ends. Never rejects. */
  readonly connect: (onGone: () => void) => Promise<Answered | null>;
  /** Called when it is no longer proved that the server is the same. */
  readonly onGone: () => void;
}

interface Answered {
  readonly guid: string;
  readonly connection: ProbedConnection;
}

/**
 * A kept connection that renews itself. `stillThere`: whether the first server is still behind the address.
 */
export type SentinelConnection = ProbedConnection;

/** Connects, and keeps a connection to the server from then on; null: the server does not answer. */
export async function openSentinel(options: SentinelOptions): Promise<SentinelConnection | null> {
  const { clock, connect, onGone } = options;
  let current: OpenConnection | null = null;
  let timer: Timer | null = null;

  const letGo = (): void => {
    timer?.[Symbol.dispose]();
    current?.connection[Symbol.dispose]();
    current = null;
  };
  const begin = async (): Promise<OpenConnection | null> => {
    const ending = { isOver: false };
    const answered = await connect(() => {
      ending.isOver = true;
      if (current?.ending !== ending) return;
      letGo();
      onGone();
    });
    return answered && { ...answered, ending };
  };
  /** Replaces the connection while the old one still answers, which proves that both lead to one server. */
  const takeOver = async (before: OpenConnection): Promise<boolean> => {
    const next = await begin();
    if (next === null) return false;
    const isThere = await before.connection.stillThere(ANSWER_WITHIN_MS);
    if (!isThere || current !== before || next.ending.isOver || next.guid !== before.guid) {
      next.connection[Symbol.dispose]();
      return false;
    }
    current = next;
    before.connection[Symbol.dispose]();
    return true;
  };
  const renewAfter = (delayMs: number): void => {
    timer = clock.setTimer(delayMs, () => {
      const before = current;
      if (before === null) return;
      void takeOver(before).then((isNew) => {
        if (current !== null) renewAfter(isNew ? RENEW_AFTER_MS : RENEW_AGAIN_MS);
      });
    });
  };

  const first = await begin();
  if (first === null || first.ending.isOver) return null;
  current = first;
  renewAfter(RENEW_AFTER_MS);
  return {
    stillThere: async (withinMs) => (await current?.connection.stillThere(withinMs)) ?? false,
    [Symbol.dispose]: letGo,
  };
}

interface OpenConnection extends Answered {
  readonly ending: { isOver: boolean };
}
