// Shows that the same server has been behind an address all the time: a connection to it is still open.
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { KeptConnection } from "./host-probe.ts";

/** Servers end a connection that nobody logs in on: Samba after 60 s. A new one replaces it before that. */
const RENEW_AFTER_MS = 20_000;
const RENEW_AGAIN_MS = 5_000;
const ANSWER_WITHIN_MS = 1_000;

interface WitnessOptions {
  readonly clock: Clock;
  /** Connects and asks who is there; null: nobody answers. `onGone`: the connection has ended since. Never rejects. */
  readonly connect: (onGone: () => void) => Promise<Answered | null>;
  /** Called when it proves nothing any more. */
  readonly onGone: () => void;
}

interface Answered {
  readonly guid: string;
  readonly connection: KeptConnection;
}

/** `stillThere` says whether the server that it began with is behind the address now. */
export type ServerWitness = KeptConnection;

/** null: nobody answers. Dispose it to let go of the server. */
export async function holdWitness(options: WitnessOptions): Promise<ServerWitness | null> {
  const { clock, connect, onGone } = options;
  let current: Held | null = null;
  let timer: Timer | null = null;

  const letGo = (): void => {
    timer?.[Symbol.dispose]();
    current?.connection[Symbol.dispose]();
    current = null;
  };
  const begin = (): Promise<Held | null> =>
    held(connect, (one) => {
      if (one !== current) return;
      letGo();
      onGone();
    });
  /** Both connections are open at once, which proves that they lead to one server. */
  const takeOver = async (before: Held): Promise<boolean> => {
    const next = await begin();
    if (next === null) return false;
    const isThere = await before.connection.stillThere(ANSWER_WITHIN_MS);
    if (!isThere || current !== before || next.isGone || next.guid !== before.guid) {
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
  if (first === null || first.isGone) return null;
  current = first;
  renewAfter(RENEW_AFTER_MS);
  return {
    stillThere: async (withinMs) => (await current?.connection.stillThere(withinMs)) ?? false,
    [Symbol.dispose]: letGo,
  };
}

interface Held extends Answered {
  isGone: boolean;
}

async function held(connect: WitnessOptions["connect"], onGone: (one: Held) => void): Promise<Held | null> {
  let one: Held | null = null;
  let isGone = false;
  const answered = await connect(() => {
    isGone = true;
    if (one === null) return;
    one.isGone = true;
    onGone(one);
  });
  if (answered === null) return null;
  one = { ...answered, isGone };
  return one;
}
