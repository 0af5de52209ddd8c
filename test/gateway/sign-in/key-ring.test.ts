import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyRing, UNKNOWN_KEY_PAUSE_MS } from "../../../src/gateway/sign-in/key-ring.ts";
import type { LoadedKeys } from "../../../src/gateway/sign-in/key-source.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const named = (kid: string, maxAgeMs: number | null = null): LoadedKeys => ({
  ok: true,
  keys: [{ kty: "RSA", kid }],
  maxAgeMs,
});
const DOWN: LoadedKeys = { ok: false, reason: "https://issuer.example refuses connections" };

function ringOf(first: LoadedKeys, maxAgeMs = 24 * HOUR) {
  const clock = createManualClock();
  const source = { answer: first, asked: 0 };
  const ring = new KeyRing({
    source: async () => {
      source.asked += 1;
      return source.answer;
    },
    clock,
    logger: silentLogger,
    issuer: "https://issuer.example",
    maxAgeMs,
  });
  const kid = (): unknown => ring.current?.keys[0]?.["kid"];
  return { clock, source, ring, kid };
}

test("E1 keys are read before anybody needs them, and again before they are old", async () => {
  const { clock, source, ring, kid } = ringOf(named("a"));
  assert.equal(ring.current, null);
  ring.start();
  await clock.advance(0);
  assert.equal(kid(), "a");
  const before = ring.current;
  await clock.advance(11 * MINUTE);
  assert.equal(source.asked, 2);
  assert.equal(ring.current, before, "the same keys are the same object");
  source.answer = named("b");
  await clock.advance(11 * MINUTE);
  assert.equal(kid(), "b");
});

test("E1 the issuer says how long its keys are good for, within bounds", async () => {
  for (const [saidMs, readsInAnHour] of [
    [1, 60],
    [5 * MINUTE, 12],
    [24 * HOUR, 1],
  ] as const) {
    const { clock, source, ring } = ringOf(named("a", saidMs));
    ring.start();
    await clock.advance(HOUR + 1);
    assert.equal(source.asked, readsInAnHour + 1, `${saidMs} ms`);
  }
});

test("E1 keys are kept for a stated time while the issuer is down, and then for no more", async () => {
  const { clock, source, ring, kid } = ringOf(named("a"), 2 * HOUR);
  ring.start();
  await clock.advance(0);
  source.answer = DOWN;
  await clock.advance(HOUR);
  assert.equal(kid(), "a");
  assert.equal(ring.state.kind, "aging");
  await clock.advance(HOUR + MINUTE);
  assert.equal(ring.current, null);
  assert.deepEqual(
    [ring.state.kind, "reason" in ring.state && ring.state.reason],
    ["none", DOWN.ok ? "" : DOWN.reason],
  );
  source.answer = named("a");
  await clock.advance(MINUTE);
  assert.equal(kid(), "a");
  assert.equal(ring.state.kind, "good");
});

test("E1 an issuer that is down is asked ever less often, at least once a minute", async () => {
  const { clock, source, ring } = ringOf(DOWN);
  ring.start();
  await clock.advance(10 * MINUTE);
  assert.ok(source.asked >= 10 && source.asked <= 18, `${source.asked} times`);
});

test("E1 an unknown key has the issuer asked once in a while, and all who wait share the answer", async () => {
  const { clock, source, ring, kid } = ringOf(named("a"));
  ring.start();
  await clock.advance(0);
  const old = ring.current;
  assert.ok(old !== null);
  // Right after a read there is nothing newer.
  assert.equal(await ring.newerThan(old), null);
  assert.equal(source.asked, 1);
  await clock.advance(UNKNOWN_KEY_PAUSE_MS);
  source.answer = named("b");
  const found = await Promise.all(Array.from({ length: 50 }, () => ring.newerThan(old)));
  assert.equal(source.asked, 2);
  assert.equal(kid(), "b");
  assert.ok(found.every((set) => set === ring.current));
  // Thousands more make it ask no more.
  const now = ring.current;
  assert.ok(now !== null);
  for (let count = 0; count < 1_000; count++) assert.equal(await ring.newerThan(now), null);
  assert.equal(source.asked, 2);
});

test("E1 an edit of the configuration goes on with the keys of before, as old as they are", async () => {
  const { clock, ring } = ringOf(named("a"));
  ring.start();
  await clock.advance(0);
  const next = new KeyRing({
    source: async () => DOWN,
    clock,
    logger: silentLogger,
    issuer: "https://issuer.example",
    maxAgeMs: HOUR,
    last: ring.last,
  });
  next.start();
  assert.equal(await next.ready(), ring.current);
  await clock.advance(HOUR + 1);
  assert.equal(next.current, null);
  next[Symbol.dispose]();
});

test("E1 what has ended reads no more", async () => {
  const { clock, source, ring } = ringOf(named("a"));
  ring.start();
  await clock.advance(0);
  ring[Symbol.dispose]();
  assert.equal(clock.pendingTimers, 0);
  await clock.advance(HOUR);
  assert.equal(source.asked, 1);
});
