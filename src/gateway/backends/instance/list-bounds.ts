// What one server may list.
import { setImmediate as nextTurn } from "node:timers/promises";
import { countInvisible } from "../../../runtime/text/invisible-characters.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { type TransportFailure, transportFailure } from "../transports/backend-transport.ts";

export const MAX_PAGES = 1_000;
export const MAX_ENTRIES = 100_000;
/** Of all entries of a list, as JSON; no client has use for more. */
export const MAX_CHARACTERS = 16 * 1024 * 1024;
/** A longer entry is withheld. */
const LONGEST_ENTRY = 1024 * 1024;
/** Of all entries of a list: to find those that a script does not need takes a microsecond each. */
const MOST_INVISIBLE = 100_000;
/** Checking a schema of 1 MiB may take 200 ms. */
const TURN_MS = 20;

/** For the entries of one list, in order: why the one of this JSON is withheld; null: it is not. */
export function entryBudget(): (json: string | null) => string | null {
  let left = MOST_INVISIBLE;
  return (json) => {
    if (json === null || json.length > LONGEST_ENTRY) return "it has more than 1 MiB of JSON";
    const count = countInvisible(json);
    left -= count;
    return count === 0 || left >= 0
      ? null
      : `with the entries before it, it has more than ${MOST_INVISIBLE} unseen characters`;
  };
}

/** Called before each piece of work: once the pieces before have taken 20 ms, gives others a turn; null: no need to wait. */
export function turnGiver(clock: Clock): () => Promise<void> | null {
  let sinceMs = clock.monotonicMs();
  return () => {
    if (clock.monotonicMs() - sinceMs < TURN_MS) return null;
    return nextTurn().then(() => {
      sinceMs = clock.monotonicMs();
    });
  };
}

export function tooMuch(method: string, bound: string): TransportFailure {
  return transportFailure("overloaded", `${method} gives more than ${bound}`);
}
