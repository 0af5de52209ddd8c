// Long work in pieces that let others have their turn.
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "./clock.ts";

/** Pieces of work that together take longer give others a turn. */
export const TURN_MS = 20;

/** The last of those that wait: of several long works, one continues in each turn of the loop. */
let last: Promise<void> = Promise.resolve();

/** Resolves in a turn that no other long work has. */
export function ownTurn(): Promise<void> {
  last = last.then(() => nextTurn());
  return last;
}

/** Called before each piece of work: once the pieces before have taken 20 ms, gives others a turn; null: no need to wait. */
export function turnGiver(clock: Clock): () => Promise<void> | null {
  let sinceMs = clock.monotonicMs();
  return () => {
    if (clock.monotonicMs() - sinceMs < TURN_MS) return null;
    return ownTurn().then(() => {
      sinceMs = clock.monotonicMs();
    });
  };
}
