// Long work in pieces, so that others come in between.
import { setImmediate } from "node:timers/promises";

/**
 * Told after each piece how much was done in it, waits for a turn of the others each time that `atOnce` has come together.
 * Not after each: what others do in each of their turns adds to what this takes.
 */
export function createPauses(atOnce: number): (done: number) => Promise<void> {
  let since = 0;
  return async (done) => {
    since += done;
    if (since < atOnce) return;
    since = 0;
    await setImmediate();
  };
}
