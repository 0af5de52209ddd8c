// Leaves a daemon that hands over, in a moment in which nothing is in flight.
import type { Clock, Timer } from "../runtime/time/clock.ts";
import type { GatewayLink } from "./gateway-link.ts";

/** For so long, a daemon that hands over still gets requests while others are in flight there. */
const MOVES_WITHIN_MS = 5_000;

interface MovingParts {
  readonly session: { readonly movesOn: boolean; readonly mayMove: boolean; readonly openQuestions: number };
  readonly passage: { readonly isMidway: boolean };
  readonly inbox: { readonly ended: boolean; keep(): void };
  readonly clock: Clock;
}

export function createMoving({ session, passage, inbox, clock }: MovingParts) {
  let timer: Timer | null = null;
  let moved = false;
  const hold = (): void => {
    // A question must still be answered there, and a line that has begun must be ended there.
    if (session.openQuestions === 0 && !passage.isMidway) inbox.keep();
    else timer = clock.setTimer(MOVES_WITHIN_MS, hold);
  };
  const rest = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
  };
  return {
    /** The connection was left for the next daemon. */
    get moved() {
      return moved;
    },
    /** To be called after each message of the gateway. */
    look(link: Pick<GatewayLink, "end">): void {
      if (!session.movesOn || moved || inbox.ended) return;
      if (session.mayMove && !passage.isMidway) {
        moved = true;
        rest();
        inbox.keep();
        link.end();
      } else timer ??= clock.setTimer(MOVES_WITHIN_MS, hold);
    },
    /** The connection is gone. */
    [Symbol.dispose]: rest,
  };
}
