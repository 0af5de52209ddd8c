// How many probes run at once, which are shared, and what names resolve to.
import assert from "node:assert/strict";
import test from "node:test";
import { createNameResolution } from "../../../src/network/probe/name-resolution.ts";
import { createSemaphore, createSingleFlight } from "../../../src/network/probe/single-flight.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";

test("A2 equal queries are one until a caller wants a newer answer", async () => {
  const clock = createManualClock();
  const asks = createSingleFlight<number>(clock);
  let begun = 0;
  const begin = async (goesOut: () => void): Promise<number> => {
    goesOut();
    begun += 1;
    return begun;
  };
  const start = clock.monotonicMs();
  assert.equal(await asks.run("a", start, begin), 1);
  assert.equal(await asks.run("a", start, begin), 1, "an answer that is there is still good");
  assert.equal(await asks.run("b", start, begin), 2);
  await clock.advance(1);
  assert.equal(await asks.run("a", clock.monotonicMs(), begin), 3);
  assert.equal(await asks.run("a", start, begin), 3, "a newer answer serves who would take an older one");
});

test("A2 a queued query is joined by every caller until it is sent", async () => {
  const clock = createManualClock();
  const asks = createSingleFlight<string>(clock);
  const queued = Promise.withResolvers<string>();
  let send = (): void => {};
  const first = asks.run("a", clock.monotonicMs(), (goesOut) => {
    send = goesOut;
    return queued.promise;
  });
  await clock.advance(100);
  const begin = async (): Promise<string> => assert.fail("not joined");
  const second = asks.run("a", clock.monotonicMs(), begin);
  send();
  const third = asks.run("a", clock.monotonicMs(), begin);
  queued.resolve("one");
  assert.deepEqual(await Promise.all([first, second, third]), ["one", "one", "one"]);
  await clock.advance(1);
  assert.equal(await asks.run("a", clock.monotonicMs(), async () => "two"), "two");
});

test("the number of keys is bounded", async () => {
  const asks = createSingleFlight<number>(createManualClock());
  for (let key = 0; key < 10_000; key += 1) await asks.run(`${key}`, 0, async () => key);
  assert.equal(await asks.run("0", 0, async () => -1), -1);
});

test("a limited number run at once, the rest in order of arrival, and a failure frees its slot", async () => {
  const semaphore = createSemaphore(2);
  const started: number[] = [];
  const finish: (() => void)[] = [];
  const work = (index: number): Promise<number> =>
    semaphore.use(
      () =>
        new Promise((resolve, reject) => {
          started.push(index);
          finish.push(() => (index === 0 ? reject(new Error("on purpose")) : resolve(index)));
        }),
    );
  const all = Promise.allSettled([0, 1, 2, 3].map(work));
  await settle();
  assert.deepEqual(started, [0, 1]);
  finish[0]?.();
  await settle();
  assert.deepEqual(started, [0, 1, 2]);
  finish[2]?.();
  finish[1]?.();
  await settle();
  finish[3]?.();
  assert.deepEqual(pluck(await all, "status"), ["rejected", "fulfilled", "fulfilled", "fulfilled"]);
  const later = [7, 8, 9].map(work);
  await settle();
  assert.deepEqual(started.slice(4), [7, 8], "all slots are free again, and no more");
  for (const place of [4, 5]) finish[place]?.();
  await settle();
  finish[6]?.();
  assert.deepEqual(await Promise.all(later), [7, 8, 9]);
});

function setUp(answers: (host: string, call: number) => Promise<readonly string[]>) {
  const clock = createManualClock();
  const asked: string[] = [];
  const resolution = createNameResolution({
    clock,
    logger: noopLogger,
    resolve(host) {
      asked.push(host);
      return answers(host, asked.length);
    },
  });
  return { clock, asked, resolution };
}

test("A2 a literal address resolves to itself without a query", async () => {
  const { resolution, asked } = setUp(async () => []);
  assert.deepEqual(resolution.addresses("10.0.0.1", 800), ["10.0.0.1"]);
  assert.deepEqual(resolution.known("FE80::0:1%tb0"), ["fe80::1%tb0"]);
  assert.deepEqual(asked, []);
});

test("A2 a name is resolved once, cached, and resolved again in the background after a minute", async () => {
  const { resolution, asked, clock } = setUp(async (_, call) =>
    call === 1 ? ["10.0.0.1", "10.0.0.1"] : ["10.0.0.2"],
  );
  assert.deepEqual(resolution.known("nas"), []);
  const [first, second] = await Promise.all([
    resolution.addresses("nas", 800),
    resolution.addresses("nas", 800),
  ]);
  assert.deepEqual([first, second, asked.length], [["10.0.0.1"], ["10.0.0.1"], 1]);
  await clock.advance(59_000);
  assert.deepEqual(resolution.addresses("nas", 800), ["10.0.0.1"]);
  assert.equal(asked.length, 1);
  await clock.advance(2_000);
  assert.deepEqual(resolution.addresses("nas", 800), ["10.0.0.1"], "at once, with what is known");
  await settle();
  assert.deepEqual(resolution.known("nas"), ["10.0.0.2"]);
});

test("A2 after a network change a name is resolved again, and its new addresses count from then on", async () => {
  let now = ["10.0.0.1", "10.0.0.2"];
  const { resolution, asked, clock } = setUp(async () => now);
  await resolution.addresses("nas", 800);
  now = ["10.0.0.2", "10.0.0.1"];
  resolution.networkChanged();
  resolution.addresses("nas", 800);
  await settle();
  assert.equal(asked.length, 2);
  assert.deepEqual(resolution.known("nas"), ["10.0.0.1", "10.0.0.2"], "another order is no change");
  now = ["10.9.9.9"];
  resolution.networkChanged();
  resolution.addresses("nas", 800);
  await settle();
  assert.deepEqual(resolution.known("nas"), ["10.9.9.9"]);
  assert.equal(clock.pendingTimers, 0);
});

test("A2 an answer in progress when the network changes is used, and requested again", async () => {
  const pending: ((addresses: readonly string[]) => void)[] = [];
  const { resolution, asked } = setUp(() => new Promise((resolve) => pending.push(resolve)));
  const first = resolution.addresses("nas", 800);
  resolution.networkChanged();
  resolution.addresses("nas", 800);
  assert.equal(asked.length, 1, "one question at a time");
  pending[0]?.(["10.0.0.1"]);
  assert.deepEqual(await first, ["10.0.0.1"]);
  resolution.addresses("nas", 800);
  assert.equal(asked.length, 2);
});

test("A2 addresses stay in use while resolving again fails, and a name without any is resolved again soon", async () => {
  let fails = false;
  const { resolution, asked, clock } = setUp(async (host) => {
    if (fails) throw new Error("no resolver");
    return host === "nas" ? ["10.0.0.1"] : [];
  });
  await resolution.addresses("nas", 800);
  fails = true;
  resolution.networkChanged();
  resolution.addresses("nas", 800);
  await settle();
  assert.deepEqual(resolution.known("nas"), ["10.0.0.1"]);
  assert.deepEqual(await resolution.addresses("nobody", 800), []);
  const before = asked.length;
  assert.deepEqual(await resolution.addresses("nobody", 800), [], "not asked in every cycle");
  assert.equal(asked.length, before);
  await clock.advance(5_000);
  await resolution.addresses("nobody", 800);
  assert.equal(asked.length, before + 1);
});

test("A2 a resolver that hangs is waited for no longer than requested, then given up and tried again", async () => {
  const { resolution, asked, clock } = setUp((_, call) =>
    call === 1 ? new Promise(() => {}) : Promise.resolve(["10.0.0.1"]),
  );
  const first = resolution.addresses("nas", 800);
  await clock.advance(800);
  assert.deepEqual(await first, []);
  await clock.advance(10_000);
  await clock.advance(5_000);
  assert.deepEqual(await resolution.addresses("nas", 800), ["10.0.0.1"]);
  assert.equal(asked.length, 2);
  assert.equal(clock.pendingTimers, 0);
});

test("results of a resolver that are not addresses are skipped", async () => {
  const { resolution } = setUp(async () => ["nonsense", "FD00::0001", "10.0.0.1"]);
  assert.deepEqual(await resolution.addresses("nas", 800), ["fd00::1", "10.0.0.1"]);
});
