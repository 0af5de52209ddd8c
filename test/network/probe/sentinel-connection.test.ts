// A kept connection is renewed only while it proves that the server is still the first one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openSentinel } from "../../../src/network/probe/sentinel-connection.ts";
import { createManualClock } from "../../support/manual-clock.ts";

/** Each connection answers with the next of `guids`; `log` has those that were closed. */
async function witness(guids: readonly string[]) {
  const clock = createManualClock();
  const log: string[] = [];
  const ends: (() => void)[] = [];
  const world = { onStillThere: () => {} };
  const held = await openSentinel({
    clock,
    async connect(onGone) {
      const index = ends.push(onGone) - 1;
      const guid = guids[index];
      if (guid === undefined) return null;
      const connection = {
        async stillThere() {
          world.onStillThere();
          return true;
        },
        [Symbol.dispose]: () => void log.push(`${index} closed`),
      };
      return { guid, connection };
    },
    onGone: () => void log.push("gone"),
  });
  assert.ok(held);
  return { clock, log, ends, world };
}

test("A13 a sentinel connection is renewed after 20 s, and never by another server", async () => {
  const { clock, log } = await witness(["one", "other", "one"]);
  await clock.advance(20_000);
  assert.deepEqual(log, ["1 closed"]);
  await clock.advance(5_000);
  assert.deepEqual(log, ["1 closed", "0 closed"]);
});

test("A13 a sentinel connection that ends while it is renewed is over", async () => {
  const { clock, log, ends, world } = await witness(["one", "one"]);
  world.onStillThere = () => ends[0]?.();
  await clock.advance(20_000);
  assert.deepEqual(log, ["0 closed", "gone", "1 closed"]);
  assert.equal(clock.pendingTimers, 0);
});
