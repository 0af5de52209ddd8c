// The phases of a route, with the patience counted on a clock that the test moves.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { RouteState } from "../../../src/carrier/connections/route-state.ts";
import type { ServerProof } from "../../../src/carrier/smb/server-proof.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const GONE: ServerProof = { ok: false, reason: "refused", text: "refused" };
const THERE = { ok: true, guid: "ab" } as const;

/** With the connection over which it was asked. */
function thereOver(closed: string[], name: string): ServerProof {
  const stillThere = () => Promise.resolve(true);
  return { ...THERE, connection: { stillThere, [Symbol.dispose]: () => void closed.push(name) } };
}

function start(t: TestContext, confirmed = true) {
  const clock = createManualClock();
  const told: string[] = [];
  const world = {
    answer: GONE as ServerProof,
    patienceMs: 60_000,
    asked: 0,
    /** The server behind the connection of the newest question is gone. */
    serverGone: () => {},
  };
  const route = new RouteState(
    {
      clock,
      patienceMs: () => world.patienceMs,
      firstOutage: 7,
      prove: (_timeoutMs, onGone) => {
        world.asked += 1;
        world.serverGone = onGone;
        return Promise.resolve(world.answer);
      },
      onPhase: () => void told.push(route.phase),
      onUnconfirmed: ({ guid }) => void told.push(`answers ${guid}`),
      onImpatient: (lostAtMs) => void told.push(`impatient since ${lostAtMs}`),
    },
    confirmed,
  );
  t.after(() => route[Symbol.dispose]());
  return { clock, told, world, route };
}

describe("the route of a carried share", () => {
  test("A10 carries at first, and waits from the loss of the route on", async (t) => {
    const { clock, told, route } = start(t);
    assert.equal(route.phase, "carrying");
    assert.equal(route.routeLostAtMs, null);
    await clock.advance(500);
    route.lost();
    assert.equal(route.phase, "waiting");
    assert.deepEqual(told, ["waiting"], "told at once");
    assert.equal(route.routeLostAtMs, 1_500);
    await clock.advance(1_000);
    route.lost();
    assert.equal(route.routeLostAtMs, 1_500, "counted from the first loss");
    assert.deepEqual(told, ["waiting"]);
  });

  test("A10 each loss has a number of its own, by which a proof from before it is known", async (t) => {
    const { clock, world, route } = start(t);
    assert.equal(route.outage, 7);
    world.answer = THERE;
    route.doubted();
    const first = route.outage;
    assert.ok(first > 7, "the server closed a connection");
    await clock.advance(300);
    assert.equal(route.outage, first, "it answers, and is not lost again");
    route.doubted();
    const again = route.outage;
    assert.ok(again > first, "another connection was closed: it may be another server since");
    world.answer = GONE;
    route.lost();
    assert.ok(route.outage > first, "it was lost again before it was proved");
    route.lost();
    const second = route.outage;
    await clock.advance(2_000);
    assert.equal(route.outage, second, "it is away all the while");
    route.confirm();
    assert.equal(route.outage, second);
  });

  test("A10 is tried again all the while, and unconfirmed once it takes connections", async (t) => {
    const { clock, told, world, route } = start(t);
    route.lost();
    await clock.advance(1_000);
    assert.ok(world.asked >= 4 && world.asked <= 11, `asked ${world.asked} times a second`);
    world.answer = THERE;
    await clock.advance(300);
    assert.equal(route.phase, "unconfirmed");
    assert.equal(route.routeLostAtMs, null);
    assert.deepEqual(told, ["waiting", "unconfirmed", "answers ab"]);
    const askedSoFar = world.asked;
    await clock.advance(3_000);
    assert.equal(world.asked, askedSoFar, "nobody asks any more");
    route.confirm();
    assert.equal(route.phase, "carrying");
    assert.equal(route.isConfirmed, true);
  });

  test("A10 is unconfirmed at once when the server closes, and waits if it is then gone", async (t) => {
    const { clock, told, world, route } = start(t);
    route.doubted();
    assert.equal(route.phase, "unconfirmed");
    assert.equal(route.routeLostAtMs, null);
    await clock.advance(0);
    assert.equal(route.phase, "waiting");
    assert.equal(route.routeLostAtMs, 1_000, "lost when it was doubted");
    world.answer = THERE;
    await clock.advance(250);
    assert.deepEqual(told, ["unconfirmed", "waiting", "unconfirmed", "answers ab"]);
  });

  test("A10 a server that goes between its answer and its confirmation is another loss, after which it is asked again", async (t) => {
    const { clock, told, world, route } = start(t);
    const closed: string[] = [];
    world.answer = thereOver(closed, "first");
    route.doubted();
    await clock.advance(0);
    assert.equal(route.phase, "unconfirmed");
    const { outage } = route;
    const { serverGone } = world;
    world.answer = thereOver(closed, "second");
    serverGone();
    await clock.advance(0);
    assert.notEqual(route.outage, outage, "a proof from before it says nothing");
    assert.equal(route.phase, "unconfirmed");
    assert.deepEqual(
      told.filter((line) => line.startsWith("answers")),
      ["answers ab", "answers ab"],
    );
    const second = route.outage;
    serverGone();
    assert.equal(route.outage, second, "the first one is nobody's any more");
    route.confirm();
    assert.deepEqual(closed, ["second"], "nothing is kept of a server that is confirmed");
    world.serverGone();
    assert.equal(route.phase, "carrying");
  });

  test("A10 a server that ends each idle connection after a while can be confirmed in the end", async (t) => {
    const { clock, told, world, route } = start(t);
    world.answer = thereOver([], "each");
    route.doubted();
    for (let turn = 0; turn < 20; turn++) {
      await clock.advance(800);
      world.serverGone();
    }
    assert.equal(world.asked, 6, "then it is taken as it is");
    const { outage } = route;
    await clock.advance(5_000);
    assert.deepEqual([route.outage, route.phase], [outage, "unconfirmed"]);
    assert.equal(told.filter((line) => line.startsWith("answers")).length, 6);
    route.confirm();
    assert.equal(route.phase, "carrying");
  });

  test("A10 a server that ends every connection right after its answer is as good as away, until one stands", async (t) => {
    const { clock, told, world, route } = start(t);
    world.answer = thereOver([], "each");
    route.doubted();
    for (let turn = 0; turn < 20; turn++) {
      await clock.advance(0);
      world.serverGone();
    }
    assert.equal(world.asked, 2, "the first time it is asked again at once, then with a pause");
    const askedFrom = clock.monotonicMs();
    for (let turn = 0; turn < 100; turn++) {
      await clock.advance(100);
      world.serverGone();
    }
    const perSecond = (world.asked * 1_000) / (clock.monotonicMs() - askedFrom);
    assert.ok(perSecond > 1 && perSecond < 6, `asked ${perSecond} times a second`);
    assert.deepEqual([route.phase, route.routeLostAtMs], ["waiting", askedFrom], "lost when it was doubted");
    assert.equal(told.filter((line) => line.startsWith("answers")).length, 2, "nobody is told to prove it");
    const { outage } = route;
    await clock.advance(400);
    assert.equal(route.phase, "waiting");
    await clock.advance(400);
    assert.equal(route.phase, "unconfirmed", "one has stood");
    assert.equal(route.outage, outage);
    route.confirm();
    route.doubted();
    await clock.advance(0);
    assert.equal(told.at(-1), "answers ab", "the next loss begins anew");
  });

  test("A10 a server that has just come back is not kept waiting for what another did before", async (t) => {
    const { clock, world, route } = start(t);
    world.answer = thereOver([], "each");
    route.doubted();
    for (let turn = 0; turn < 20; turn++) {
      await clock.advance(100);
      world.serverGone();
    }
    assert.equal(route.phase, "waiting");
    world.answer = GONE;
    await clock.advance(1_000);
    world.answer = THERE;
    await clock.advance(200);
    assert.equal(route.phase, "unconfirmed");
  });

  test("A10 what is kept of a server ends with the next doubt, and with the share", async (t) => {
    const { clock, world, route } = start(t);
    const closed: string[] = [];
    world.answer = thereOver(closed, "first");
    route.doubted();
    await clock.advance(0);
    world.answer = thereOver(closed, "second");
    route.lost();
    await clock.advance(0);
    assert.deepEqual(closed, ["first"]);
    route[Symbol.dispose]();
    assert.deepEqual(closed, ["first", "second"]);
  });

  test("A10 refuses when the patience since the loss is over, until a connect works again", async (t) => {
    const { clock, told, world, route } = start(t);
    route.lost();
    await clock.advance(59_999);
    assert.equal(route.phase, "waiting");
    await clock.advance(1);
    assert.equal(route.phase, "refusing");
    assert.deepEqual(told, ["waiting", "impatient since 1000", "refusing"]);
    await clock.advance(100_000);
    assert.equal(route.phase, "refusing");
    world.answer = THERE;
    await clock.advance(1_000);
    assert.equal(route.phase, "unconfirmed");
    assert.equal(route.routeLostAtMs, null);
  });

  test("A10 a server that is back late, and never confirmed, is refused in the end", async (t) => {
    const { clock, world, route } = start(t);
    world.patienceMs = 5_000;
    route.lost();
    await clock.advance(4_900);
    world.answer = THERE;
    await clock.advance(300);
    assert.equal(route.phase, "unconfirmed");
    await clock.advance(9_000);
    assert.equal(route.phase, "unconfirmed", "there is time to prove it");
    await clock.advance(1_500);
    assert.equal(route.phase, "refusing");
    route.confirm();
    assert.equal(route.phase, "carrying");
  });

  test("A10 a change of the patience counts from the loss as well", async (t) => {
    const { clock, world, route } = start(t);
    route.lost();
    await clock.advance(10_000);
    world.patienceMs = 12_000;
    route.armPatience();
    await clock.advance(1_999);
    assert.equal(route.phase, "waiting");
    await clock.advance(1);
    assert.equal(route.phase, "refusing");
  });

  test("A10 a move ends whatever was", async (t) => {
    const { clock, world, route } = start(t);
    world.patienceMs = 100;
    route.lost();
    await clock.advance(200);
    assert.equal(route.phase, "refusing");
    route.confirm();
    assert.equal(route.phase, "carrying");
    assert.equal(route.routeLostAtMs, null);
    await clock.advance(1_000);
    assert.equal(route.phase, "carrying");
    assert.equal(clock.pendingTimers, 0);
  });

  test("A10 after a start anew the server has to be proved", async (t) => {
    const { clock, route, told } = start(t, false);
    assert.equal(route.phase, "unconfirmed");
    await clock.advance(0);
    assert.deepEqual(told, ["waiting"], "and there is none");
  });
});
