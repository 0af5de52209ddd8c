import assert from "node:assert/strict";
import test from "node:test";
import { createSingleFlight } from "../../../src/network/probe/single-flight.ts";
import { createManualClock } from "../../support/manual-clock.ts";

test("A2 equal questions are one until somebody wants a newer answer", async () => {
  const clock = createManualClock();
  const asks = createSingleFlight<number>(clock);
  let begun = 0;
  const begin = async (goesOut: () => void): Promise<number> => {
    goesOut();
    begun += 1;
    return begun;
  };
  const start = clock.monotonicMs();
  assert.equal(await asks.ask("a", start, begin), 1);
  assert.equal(await asks.ask("a", start, begin), 1, "an answer that is there is still good");
  assert.equal(await asks.ask("b", start, begin), 2);
  await clock.advance(1);
  assert.equal(await asks.ask("a", clock.monotonicMs(), begin), 3);
  assert.equal(await asks.ask("a", start, begin), 3, "a newer answer serves who would take an older one");
});

test("A2 a question that still queues is joined by whoever comes before it goes out", async () => {
  const clock = createManualClock();
  const asks = createSingleFlight<string>(clock);
  const queued = Promise.withResolvers<string>();
  let send = (): void => {};
  const first = asks.ask("a", clock.monotonicMs(), (goesOut) => {
    send = goesOut;
    return queued.promise;
  });
  await clock.advance(100);
  const begin = async (): Promise<string> => assert.fail("not joined");
  const second = asks.ask("a", clock.monotonicMs(), begin);
  send();
  const third = asks.ask("a", clock.monotonicMs(), begin);
  queued.resolve("one");
  assert.deepEqual(await Promise.all([first, second, third]), ["one", "one", "one"]);
  await clock.advance(1);
  assert.equal(await asks.ask("a", clock.monotonicMs(), async () => "two"), "two");
});

test("keys without end do not grow without end", async () => {
  const asks = createSingleFlight<number>(createManualClock());
  for (let key = 0; key < 10_000; key += 1) await asks.ask(`${key}`, 0, async () => key);
  assert.equal(await asks.ask("0", 0, async () => -1), -1);
});
