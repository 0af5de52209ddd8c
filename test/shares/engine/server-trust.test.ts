import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type RouteInUse, ServerTrust, type TrustInput } from "../../../src/shares/engine/server-trust.ts";
import type { RouteSeen, TrustSeen } from "../../../src/shares/policy/share-seen.ts";
import type { ProofVerdict } from "../../../src/shares/server-proof/server-proof.ts";
import type { RouteName } from "../../../src/shares/share-spec.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { SPEC } from "../world.ts";

interface Asked {
  readonly what: string;
  readonly answer: (verdict: ProofVerdict) => void;
  readonly signal: AbortSignal;
  readonly isSteady: () => boolean;
}

const SAME: ProofVerdict = { kind: "same", server: "s1" };
const unproved = (text: string): ProofVerdict => ({ kind: "unproved", text });
const different = (text: string): ProofVerdict => ({ kind: "different", text });

function scene() {
  const clock = createManualClock();
  const asked: Asked[] = [];
  const now = { outage: 1 as number | null, verdicts: 0 };
  /** The server that each comparison was certain of. */
  const certain: (string | null)[] = [];
  const ask = (what: string, signal: AbortSignal, isSteady = () => true): Promise<ProofVerdict> =>
    new Promise((answer) => asked.push({ what, answer, signal, isSteady }));
  const proof: ConstructorParameters<typeof ServerTrust>[0]["proof"] = {
    compare(_share, _ends, inUse, isSteady, signal) {
      certain.push(inUse);
      return ask("compare", signal, isSteady);
    },
    recognise: (_share, route, _end, { not = null }, signal) =>
      ask(`recognise ${route}${not === null ? "" : `, not ${not}`}`, signal),
  };
  const trust = new ServerTrust({ clock, proof, outage: () => now.outage }, () => {
    now.verdicts++;
  });
  return {
    ...{ clock, asked, certain, now, trust },
    questions: () => asked.map(({ what }) => what),
    /** To the newest question; null: without one. */
    async answer(verdict: ProofVerdict): Promise<void> {
      asked.at(-1)?.answer(verdict);
      await turn();
    },
    note(
      { tb = true, fallback = true }: Partial<Record<RouteName, boolean | string>> = {},
      more: Partial<TrustInput> = {},
    ): TrustSeen {
      const routes = { tb: seen(tb), fallback: seen(fallback) };
      return trust.note({ spec: SPEC, routes, wanted: true, inUse: null, ...more });
    },
  };
}

/** Both routes are proved by one comparison. */
async function provedScene(more: Partial<TrustInput> = {}): Promise<ReturnType<typeof scene>> {
  const one = scene();
  one.note({}, more);
  await one.answer(SAME);
  return one;
}

function goingOn(route: RouteName, outage = 1): RouteInUse {
  return { route, server: "s1", outage, goesOn: true };
}

function lost(route: RouteName, outage = 1): RouteInUse {
  return { route, server: "s1", outage, goesOn: false };
}

/** Answers, by the server of that GUID; or does not. */
function seen(up: boolean | string): RouteSeen {
  const nowhere = { interfaceName: null, text: "", localAddress: null };
  const answers = { verdict: "answers", tcpAnswered: true, address: "10.0.0.1" } as const;
  const gone = { verdict: "gone", tcpAnswered: false, address: null, serverGuid: null } as const;
  const there = { ...nowhere, ...answers, serverGuid: up === true ? "aa" : `${up}` };
  return { atMs: 0, probe: up === false ? { ...nowhere, ...gone } : there };
}

test("A10 both routes are proved by one comparison, and its end is told", async () => {
  const { note, asked, answer, questions, trust, clock } = scene();
  assert.equal(note().asking, true);
  note();
  assert.deepEqual(questions(), ["compare"]);
  await answer(SAME);
  assert.equal(clock.pendingTimers, 0);
  const { state, asking, text, proved, servers } = note();
  assert.deepEqual({ state, asking, text }, { state: "same", asking: false, text: null });
  assert.deepEqual(proved, { tb: true, fallback: true });
  assert.deepEqual([servers?.tb.id, servers?.fallback.id], ["s1", "s1"]);
  assert.equal(asked.length, 1);
  await trust[Symbol.asyncDispose]();
});

test("A10 a proof that failed counts as tried until its route is lost, and one that ends after disposal is not told", async () => {
  const { note, answer, now, trust } = scene();
  note();
  await answer(unproved("it cannot be listed"));
  const tried = (up: boolean) => note({ tb: up }).servers?.tb.asked;
  assert.deepEqual([tried(true), tried(false), now.verdicts], [true, false, 1]);
  const ended = trust[Symbol.asyncDispose]();
  await answer(SAME);
  await ended;
  assert.equal(now.verdicts, 1);
});

test("A13 the other route is proved again when the connection that showed who is there has ended", async () => {
  const { note, asked, answer } = await provedScene();
  const held = (witness: number | null) => note({}, { inUse: { ...goingOn("tb"), witness } });
  held(null);
  assert.deepEqual(held(7).proved, { tb: true, fallback: true });
  assert.equal(asked.length, 1);
  assert.deepEqual(held(null).proved, { tb: true, fallback: false });
  assert.equal(asked.length, 2);
  await answer(SAME);
  assert.deepEqual(held(8).proved, { tb: true, fallback: true });
  assert.equal(asked.length, 2, "a new one says nothing against it");
});

test("A13 a server that ends such connections soon, one after the other, is proved after ever longer pauses, and at once when it is needed", async () => {
  const { note, asked, clock } = scene();
  note();
  let answered = 0;
  const look = async (witness: number | null, tb = true): Promise<TrustSeen> => {
    const seenNow = note({ tb }, { inUse: { ...(tb ? goingOn("tb") : lost("tb")), witness } });
    for (; answered < asked.length; answered += 1) asked[answered]?.answer(SAME);
    await turn();
    return seenNow;
  };
  let witness: number | null = null;
  for (let second = 0; second < 600; second += 1) {
    const { proved } = await look(witness);
    // It ends within a second, and there is a new one for each proof.
    witness = witness === null && proved.fallback ? second : null;
    await clock.advance(1_000);
  }
  assert.ok(asked.length > 3 && asked.length < 20, `${asked.length} proofs in ten minutes`);
  await look(null, true);
  const before = asked.length;
  await look(null, false);
  assert.equal(asked.length, before + 1);
  assert.equal(asked.at(-1)?.what, "recognise fallback");
});

test("A13 routes that led to two servers may lead to one after they were away: neither is ruled out for the other", async () => {
  const { note, asked, answer } = scene();
  const answered = async (verdict: ProofVerdict): Promise<string | undefined> => {
    await answer(verdict);
    note();
    return asked.at(-1)?.what;
  };
  note();
  assert.equal(await answered(different("two")), "recognise tb");
  assert.equal(await answered(SAME), "recognise fallback, not s1");
  await answered({ kind: "same", server: "s2" });
  note({ tb: false, fallback: false });
  note();
  assert.equal(asked.at(-1)?.what, "recognise tb");
  assert.equal(await answered(SAME), "recognise fallback");
});

test("A10 a route that was away is not proved any more, and compared with the one that stayed", async () => {
  const { note, questions } = await provedScene();
  assert.deepEqual(note({ fallback: false }, { inUse: goingOn("tb") }).proved, {
    tb: true,
    fallback: false,
  });
  note({}, { inUse: goingOn("tb") });
  assert.deepEqual(questions(), ["compare", "compare"]);
});

test("A10 another GUID at the same address is a server that was away", async () => {
  const { note } = await provedScene();
  assert.equal(note({ fallback: "bb" }, { inUse: goingOn("tb") }).proved.fallback, false);
});

test("A10 what was begun before a doubt proves nothing after it", async () => {
  const { note, answer, trust } = scene();
  note();
  trust.doubt("tb");
  await answer(SAME);
  assert.deepEqual(note().proved, { tb: false, fallback: true });
});

test("A10 after both were away the server is recognised first: two equal strangers are not the one known", async () => {
  const { note, asked, answer } = await provedScene();
  note({ tb: false, fallback: false }, { inUse: lost("tb") });
  note({}, { inUse: lost("tb") });
  assert.equal(asked.at(-1)?.what, "recognise tb");
  await answer(different("other files"));
  const told = note({}, { inUse: lost("tb") });
  assert.equal(told.state, "different");
  assert.equal(told.text, "other files");
  assert.deepEqual(told.proved, { tb: false, fallback: false });
  assert.equal(asked.length, 2);
});

test("A10 a server that was lost and is back within one look is recognised: the route beside it vouches for nothing", async () => {
  const { note, asked, answer } = await provedScene({ inUse: goingOn("tb") });
  assert.deepEqual(note({}, { inUse: goingOn("tb") }).proved, { tb: true, fallback: true });
  const told = note({}, { inUse: lost("tb", 2) });
  assert.deepEqual([told.proved.tb, told.asking, asked.at(-1)?.what], [false, true, "recognise tb"]);
  await answer(different("other files"));
  assert.deepEqual(note({}, { inUse: lost("tb", 2) }).proved.tb, false);
});

test("A10 a server that was lost right after its share was mounted is recognised, whatever was proved before", async () => {
  const { note, asked } = await provedScene();
  assert.equal(note({}, { inUse: lost("tb") }).proved.tb, false);
  assert.equal(asked.at(-1)?.what, "recognise tb");
});

test("A10 connections that were seen going on before a loss prove nothing after it", async () => {
  const { note } = await provedScene({ inUse: goingOn("tb") });
  note({}, { inUse: lost("tb", 2) });
  // A look that began before the loss ends after it.
  note({}, { inUse: goingOn("tb", 1) });
  assert.equal(note({}, { inUse: lost("tb", 2) }).proved.tb, false);
});

const MOVED: readonly (readonly [string, number, number | null, Readonly<Record<RouteName, boolean>>])[] = [
  ["before it, on the route that was left", 2, 2, { tb: true, fallback: false }],
  ["after it, on the route that was taken", 2, 1, { tb: false, fallback: true }],
  ["before and after it", 3, 2, { tb: false, fallback: false }],
  ["nobody knows when", 2, null, { tb: false, fallback: false }],
];

for (const [when, outage, outageAtMove, proved] of MOVED) {
  test(`A10 a loss around a move takes the proof of the routes that were in use then: ${when}`, async () => {
    const { note, answer } = scene();
    note({}, { inUse: goingOn("fallback") });
    await answer(SAME);
    assert.deepEqual(note({}, { inUse: goingOn("fallback") }).proved, { tb: true, fallback: true });
    assert.deepEqual(note({}, { inUse: { ...lost("tb", outage), outageAtMove } }).proved, proved);
  });
}

test("A10 a comparison that a loss fell into remembers nothing, and ends", async () => {
  const one = scene();
  one.note({}, { inUse: goingOn("tb") });
  assert.equal(one.asked[0]?.isSteady(), true);
  one.now.outage = 2;
  assert.equal(one.asked[0]?.isSteady(), false);
  one.note({}, { inUse: lost("tb", 2) });
  assert.equal(one.asked[0]?.signal.aborted, true);
  await one.answer(SAME);
  assert.equal(one.note({}, { inUse: lost("tb", 2) }).proved.tb, false);
});

test("A10 after a loss of both, the other route is compared once the one in use is recognised", async () => {
  const { note, answer, questions } = scene();
  note({ tb: false, fallback: false }, { inUse: lost("tb") });
  note({}, { inUse: lost("tb") });
  await answer(SAME);
  const told = note({}, { inUse: lost("tb") });
  assert.deepEqual(told.proved, { tb: true, fallback: false });
  assert.deepEqual(questions(), ["recognise tb", "compare"]);
});

test("A10 one route alone is looked at while it is certain, so that its server is known again later", () => {
  const one = scene();
  one.note({ fallback: false }, { inUse: goingOn("tb") });
  assert.deepEqual(one.questions(), ["compare"]);
});

test("A13 one route alone is asked whose it is, whether something is mounted or not", () => {
  for (const inUse of [null, lost("tb")]) {
    const one = scene();
    one.note({ tb: false }, { inUse });
    assert.deepEqual(one.questions(), ["recognise fallback"]);
  }
});

test("A10 when a route goes in the middle of a comparison, that ends, and the other is recognised without a pause", async () => {
  const { note, asked, answer, questions } = await provedScene();
  note({ tb: false }, { inUse: goingOn("fallback") });
  // It is back, and the one in use goes.
  note({}, { inUse: goingOn("fallback") });
  assert.equal(note({ fallback: false }, { inUse: lost("fallback") }).asking, true);
  assert.equal(asked[1]?.signal.aborted, true);
  await answer(unproved("it was ended"));
  const told = note({ fallback: false }, { inUse: lost("fallback") });
  assert.deepEqual(
    [told.asking, told.state, questions()],
    [true, "same", ["compare", "compare", "recognise tb"]],
  );
  await answer(SAME);
  assert.equal(note({ fallback: false }, { inUse: lost("fallback") }).proved.tb, true);
});

test("A10 a look at one route that a loss of the other cut short is no verdict, and is begun anew at once", async () => {
  const { note, asked, answer, questions } = await provedScene();
  note({ tb: false }, { inUse: goingOn("fallback") });
  assert.equal(note({ fallback: false }, { inUse: goingOn("fallback") }).asking, true);
  // Only now the carrier tells that its connections are lost.
  note({ fallback: false }, { inUse: lost("fallback", 2) });
  assert.equal(asked[1]?.signal.aborted, true);
  await answer(unproved("smbclient was cancelled"));
  const told = note({ fallback: false }, { inUse: lost("fallback", 2) });
  assert.deepEqual(
    [told.asking, told.state, questions()],
    [true, "same", ["compare", "recognise tb", "recognise tb"]],
  );
});

test("A10 a comparison that a loss of the server in use fell into says nothing, and is made again at once", async () => {
  const one = await provedScene({ inUse: goingOn("tb") });
  one.note({ fallback: false }, { inUse: goingOn("tb") });
  one.note({}, { inUse: goingOn("tb") });
  // Its mount ends, and its carrier begins anew.
  one.now.outage = 2;
  await one.answer(unproved("the server was lost meanwhile"));
  const { state, asking, text } = one.note();
  assert.deepEqual({ state, asking, text }, { state: "same", asking: true, text: null });
  assert.deepEqual(one.questions(), ["compare", "compare", "compare"]);
});

test("A10 a proof that cannot be made is tried again with growing pauses, and at once after a change", async () => {
  const { note, answer, clock } = scene();
  note();
  await answer(unproved("no program"));
  assert.equal(note().asking, false);
  await clock.advance(1000);
  assert.equal(note().asking, true);
  await answer(unproved("no program"));
  await clock.advance(1000);
  assert.equal(note().asking, false);
  await clock.advance(1000);
  assert.equal(note().asking, true);
});

test("A10 a proof that cannot be made while programs wait is tried again each second", async () => {
  const { note, answer, clock, asked } = scene();
  const waiting = { inUse: lost("tb") };
  for (let failures = 0; failures < 8; failures++) {
    assert.equal(note({ tb: false }, waiting).asking, true);
    await answer(unproved("it takes too long"));
    assert.equal(note({ tb: false }, waiting).asking, false);
    await clock.advance(1000);
  }
  assert.equal(asked.length, 8);
});

test("A13 connections to the old address of an edited host prove nothing about the new one", async () => {
  const { note, answer, questions } = scene();
  const detour = { seen: seen(true), port: 445 };
  const first = note({ fallback: false, tb: "bb" }, { inUse: { ...goingOn("tb"), detour } });
  assert.deepEqual([first.proved.tb, first.detourProved], [false, true]);
  assert.deepEqual(questions(), ["recognise tb"]);
  await answer({ kind: "different", text: "other files", server: "s2" });
  const told = note({ fallback: false, tb: "bb" }, { inUse: { ...goingOn("tb"), detour } });
  assert.deepEqual([told.state, told.text, told.servers?.tb.id], ["different", "other files", "s2"]);
  assert.deepEqual([told.proved.tb, told.detourProved], [false, true]);
});

test("A13 an address that only its old connections vouch for is recognised once they are lost", async () => {
  const { note, asked, answer } = scene();
  const detour = { seen: seen(true), port: 445 };
  const told = note({ tb: false, fallback: false }, { inUse: { ...lost("tb"), detour } });
  assert.equal(told.detourProved, false);
  assert.equal(asked[0]?.what, "recognise tb");
  await answer(SAME);
  assert.equal(note({ tb: false, fallback: false }, { inUse: { ...lost("tb"), detour } }).detourProved, true);
});

test("A14 what could not be proved is asked again at once after a changed login, mounted or not", async () => {
  for (const inUse of [null, goingOn("tb")]) {
    const { note, answer, trust } = scene();
    note({}, { inUse });
    await answer(unproved("the login was refused"));
    assert.equal(note({}, { inUse }).asking, false);
    trust.retry(["tb", "fallback"]);
    assert.equal(note({}, { inUse }).asking, true);
  }
});

test("A13 two routes that lead to two servers are each known by its own, and neither is asked about again", async () => {
  const { note, answer } = scene();
  note();
  await answer(different("only the first has a.txt"));
  for (const server of ["s1", "s2"]) {
    note();
    await answer({ kind: "same", server });
  }
  const { servers, state, asking, text } = note();
  assert.deepEqual([servers?.tb.id, servers?.fallback.id, state, asking], ["s1", "s2", "different", false]);
  assert.equal(text, "only the first has a.txt");
});

test("A13 a server that was mounted before it could be proved, and turns out to be a known one, is told", async () => {
  const { note, answer, questions } = scene();
  const inUse = { ...goingOn("tb"), server: "new" };
  note({ fallback: false }, { inUse });
  await answer(SAME);
  const { better, proved, servers } = note({ fallback: false }, { inUse });
  assert.deepEqual([better, proved.tb, servers?.tb.id], ["s1", true, "s1"]);
  assert.equal(questions().length, 1, "and is not looked at again");
  assert.equal(note({ fallback: false }, { inUse: goingOn("tb") }).better, null, "of that mount alone");
});

test("A10 one that is late is ended", async () => {
  const { note, asked, clock } = scene();
  note();
  await clock.advance(12_000);
  assert.equal(asked[0]?.signal.aborted, true);
});

test("A10 a proof ends with its share, and the end waits until nothing of it is left", async () => {
  const { note, asked, trust } = scene();
  note();
  let hasEnded = false;
  const ended = trust[Symbol.asyncDispose]().then(() => {
    hasEnded = true;
  });
  await turn();
  assert.deepEqual([asked[0]?.signal.aborted, hasEnded], [true, false]);
  // Its programs have ended, and the login that they read is removed.
  asked[0]?.answer(unproved("it was ended"));
  await ended;
});

test("A10 routes that lead to two servers do so while one of them is away, and until both are known to be one", async () => {
  const { note, answer } = scene();
  const answered = async (verdict: ProofVerdict): Promise<void> => {
    note();
    await answer(verdict);
  };
  await answered(different("other files"));
  await answered(SAME);
  await answered({ kind: "same", server: "s2" });
  assert.equal(note({ tb: false }).state, "different");
  await answered({ kind: "same", server: "s2" });
  assert.equal(note().state, "same");
});

test("A13 connections that go on prove nothing of a route whose host does not answer", async () => {
  const { note } = await provedScene();
  assert.equal(note({ tb: false }, { inUse: goingOn("tb") }).proved.tb, false);
});

for (const [what, meanwhile] of [
  ["a doubt about it", ({ trust }: ReturnType<typeof scene>) => trust.doubt("fallback")],
  ["it was away unproved", ({ note }: ReturnType<typeof scene>) => note({ fallback: false })],
] as const) {
  test(`A13 after ${what}, a route of two that led to two servers may lead to the other's`, async () => {
    const one = scene();
    one.note();
    await one.answer(different("two"));
    meanwhile(one);
    one.note();
    await one.answer(SAME);
    one.note();
    assert.deepEqual(one.questions().slice(1), ["recognise tb", "recognise fallback"]);
  });
}

test("A13 an edited address ends the proof under way, and both routes are compared anew", async () => {
  const { note, asked, answer, trust, questions } = scene();
  note();
  await answer(different("two"));
  note();
  trust.retry(["tb"]);
  assert.equal(asked.at(-1)?.signal.aborted, true);
  await answer(unproved("it was ended"));
  note();
  assert.deepEqual(questions(), ["compare", "recognise tb", "compare"]);
});

test("A14 a proof that is to be tried again counts as not tried", async () => {
  const { note, answer, trust } = scene();
  note();
  await answer(unproved("no program"));
  trust.retry();
  assert.equal(note().servers?.tb.asked, false);
});

test("A13 a route that went away while it was recognised is not proved by that", async () => {
  const { note, answer } = scene();
  note({ fallback: false });
  note({ tb: false, fallback: false });
  await answer(SAME);
  assert.equal(note({ fallback: false }).proved.tb, false);
});

test("A13 a mount of which nobody says whose it is counts as of the server that was proved there", async () => {
  const { note } = await provedScene();
  const { servers, proved } = note({}, { inUse: { ...goingOn("tb"), server: null } });
  assert.deepEqual([servers?.tb.id, proved], ["s1", { tb: true, fallback: true }]);
});

const DETOUR = { seen: seen(true), port: 445 };
const NOWHERE = { tb: false, fallback: false };

test("A13 what is proved of one former address is lost with it, or with its connections, and says nothing of the next", async () => {
  const { note, answer, questions } = scene();
  const by = (inUse: RouteInUse) => ({ inUse: { ...inUse, detour: DETOUR } });
  assert.equal(note(NOWHERE, by(goingOn("tb"))).detourProved, true);
  assert.equal(note(NOWHERE, by(lost("tb", 2))).detourProved, false);
  await answer(SAME);
  assert.equal(note(NOWHERE, by(lost("tb", 2))).detourProved, true);
  note(NOWHERE, { inUse: lost("tb", 2) });
  assert.equal(note(NOWHERE, by(lost("tb", 2))).detourProved, false);
  await answer(unproved("it cannot be listed"));
  assert.equal(note(NOWHERE, by(lost("tb", 2))).asking, false);
  note(NOWHERE, { inUse: lost("tb", 2) });
  assert.equal(note(NOWHERE, by(lost("tb", 2))).asking, true, "the next one waits for nothing");
  await answer(unproved("it cannot be listed"));
  note({ tb: false }, by(lost("tb", 2)));
  assert.equal(questions().at(-1), "recognise fallback", "nor does the route beside it");
});

test("A13 while a former address is in use, a comparison is certain of no server", () => {
  const { note, certain } = scene();
  note({}, { inUse: { ...goingOn("tb"), detour: DETOUR } });
  assert.deepEqual(certain, [null]);
});

test("A13 a witness of the route that was left says nothing when it ends with the move", async () => {
  const { note } = await provedScene();
  note({}, { inUse: { ...goingOn("tb"), witness: 7 } });
  const { proved } = note({}, { inUse: { ...goingOn("fallback"), witness: null } });
  assert.deepEqual(proved, { tb: true, fallback: true });
});

test("A13 a witness that lasted makes no proof wait", async () => {
  const { note, answer, clock, questions } = await provedScene();
  for (let ends = 1; ends <= 3; ends++) {
    note({}, { inUse: { ...goingOn("tb"), witness: ends } });
    await clock.advance(31_000);
    note({}, { inUse: { ...goingOn("tb"), witness: null } });
    assert.equal(questions().length, 1 + ends);
    await answer(SAME);
  }
});

test("A14 the login is asked about where the mounted server is certain, and only there", async () => {
  const { note, questions } = await provedScene();
  note({}, { inUse: { ...goingOn("tb"), detour: DETOUR }, asksLogin: true });
  assert.equal(questions().length, 1);
  note({}, { inUse: goingOn("tb"), asksLogin: true });
  assert.equal(questions().length, 2);
  const away = await provedScene();
  away.note({}, { inUse: lost("tb") });
  await away.answer(SAME);
  away.note({}, { inUse: lost("tb"), asksLogin: true });
  assert.deepEqual(away.questions(), ["compare", "recognise tb"]);
});

test("A13 where the carrier counted no outages before, none makes a proof void", () => {
  const { note, asked, now } = scene();
  now.outage = null;
  note();
  now.outage = 5;
  assert.equal(asked[0]?.isSteady(), true);
});

test("A13 a comparison of which one route was lost meanwhile does not show two servers", async () => {
  const { note, answer, trust } = scene();
  note();
  trust.doubt("tb");
  await answer(different("two"));
  assert.equal(note().state, "unasked");
});

test("A13 one route that leads elsewhere for a while is no pair of servers", async () => {
  const { note, answer, clock } = scene();
  note({ fallback: false });
  await answer(different("other files"));
  await clock.advance(1_000);
  note({ fallback: false });
  await answer(SAME);
  assert.equal(note({ fallback: false }).state, "same");
});
