// The phases of a route, with the patience counted on a clock that the test moves.
import type { TestContext } from "node:test";
import { RouteState } from "../../../src/relay/connections/route-state.ts";
import type { NegotiateResult } from "../../../src/relay/smb/negotiate-proof.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { type Act, type Fact, tellStories } from "../../support/stories.ts";

const GONE: NegotiateResult = { ok: false, reason: "refused", text: "refused" };
const THERE = { ok: true, guid: "ab" } as const;

/** With the connection over which it was asked. */
function thereOver(closed: string[], name: string): NegotiateResult {
  const stillThere = () => Promise.resolve(true);
  return { ...THERE, connection: { stillThere, [Symbol.dispose]: () => void closed.push(name) } };
}

function start(t: TestContext, confirmed = true, isAway = false) {
  const clock = createManualClock();
  const told: string[] = [];
  const world = {
    answer: GONE as NegotiateResult,
    isAway,
    patienceMs: 60_000,
    /** For each question: its server, behind the connection of the question, is gone. */
    goes: [] as (() => void)[],
    closed: [] as string[],
    /** Each is gone before its answer is read. */
    goesAtOnce: false,
    marked: { outage: 0, asked: 0 },
  };
  const route = new RouteState(
    {
      clock,
      patienceMs: () => world.patienceMs,
      isOffNetwork: () => world.isAway,
      firstOutage: 7,
      prove: (_timeoutMs, onGone) => {
        world.goes.push(onGone);
        if (world.goesAtOnce) onGone();
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

type World = ReturnType<typeof start>;

const ACTS: readonly Act<World>[] = [
  [/^(\d+) (ms|s)$/, ({ clock }, count, unit) => clock.advance(Number(count) * (unit === "s" ? 1000 : 1))],
  [/^it is lost$/, ({ route }) => route.lost()],
  [
    /^it leaves home$/,
    ({ world, route }) => {
      world.isAway = true;
      route.leave();
    },
  ],
  [
    /^it is home again$/,
    ({ world, route }) => {
      world.isAway = false;
      route.lost();
    },
  ],
  [/^it is doubted$/, ({ route }) => route.markUnproved()],
  [/^it is confirmed$/, ({ route }) => route.confirm()],
  [/^it ends$/, ({ route }) => route[Symbol.dispose]()],
  [/^its server (answers|is gone)$/, ({ world }, how) => (world.answer = how === "answers" ? THERE : GONE)],
  [/^its server answers as (\w+)$/, ({ world }, name = "") => (world.answer = thereOver(world.closed, name))],
  [/^its servers go before their answers are read$/, ({ world }) => (world.goesAtOnce = true)],
  [/^the server goes$/, ({ world }) => world.goes.at(-1)?.()],
  [/^the first server goes$/, ({ world }) => world.goes[0]?.()],
  [
    /^(\d+) times after (\d+) ms the server goes$/,
    async ({ clock, world }, times, ms) => {
      for (let turn = 0; turn < Number(times); turn++) {
        await clock.advance(Number(ms));
        world.goes.at(-1)?.();
      }
    },
  ],
  [/^patience (\d+) ms$/, ({ world }, ms) => (world.patienceMs = Number(ms))],
  [/^its patience is counted anew$/, ({ route }) => route.armPatience()],
  [/^look$/, ({ world, route }) => (world.marked = { outage: route.outage, asked: world.goes.length })],
];
const FACTS: readonly Fact<World>[] = [
  [/^(carrying|waiting|unconfirmed|refusing)$/, ({ route }, phase) => [route.phase, phase]],
  [
    /^(not )?lost(?: at (\d+))?$/,
    ({ route }, not, atMs) => [route.routeLostAtMs, not === undefined ? Number(atMs) : null],
  ],
  [/^told (.+)$/, ({ told }, names = "") => [told, names.split(" > ")]],
  [/^last told (.+)$/, ({ told }, name) => [told.at(-1), name]],
  [/^outage (\d+)$/, ({ route }, outage) => [route.outage, Number(outage)]],
  [/^the same outage$/, ({ route, world }) => [route.outage, world.marked.outage]],
  [/^a later outage$/, ({ route, world }) => [route.outage > world.marked.outage, true]],
  [/^asked (\d+) times$/, ({ world }, times) => [world.goes.length, Number(times)]],
  [
    /^asked (\d+) to (\d+) times$/,
    ({ world: { goes } }, least, most) => [goes.length >= Number(least) && goes.length <= Number(most), true],
  ],
  [/^asked no more$/, ({ world }) => [world.goes.length, world.marked.asked]],
  [
    /^(\d+) answers told$/,
    ({ told }, count) => [told.filter((line) => line.startsWith("answers")).length, Number(count)],
  ],
  [/^closed (.+)$/, ({ world }, names = "") => [world.closed, names.split(" > ")]],
  [/^by a proof$/, ({ route }) => [route.isConfirmed, true]],
  [
    /^answered(?: at (\d+)| not)$/,
    ({ route }, atMs) => [route.answeredAtMs, atMs === undefined ? null : Number(atMs)],
  ],
  [
    /^(?:loss at (\d+)|no loss)$/,
    ({ route }, atMs) => [route.lossAtMs, atMs === undefined ? null : Number(atMs)],
  ],
  [/^no timers$/, ({ clock }) => [clock.pendingTimers, 0]],
];

tellStories(
  {
    starts: {
      "a route": (t: TestContext) => start(t),
      "a route after a start anew": (t: TestContext) => start(t, false),
      "a route away after a start anew": (t: TestContext) => start(t, false, true),
    },
    acts: ACTS,
    facts: FACTS,
  },
  `
A10 a route carries at first, and waits from its first loss on, which is reported at once
  a route: carrying, not lost; 500 ms, it is lost: waiting, told waiting, lost at 1500
  1 s, it is lost: lost at 1500, told waiting
A10 each loss has its own number, which identifies a proof from before it
  a route: outage 7; look, its server answers, it is doubted: a later outage; look, 300 ms: the same outage
  it is doubted: a later outage; its server is gone, it is lost: a later outage
  it is lost, look, 2 s: the same outage; it is confirmed: the same outage
A10 it is retried all the while, and unconfirmed once it accepts connections
  a route, it is lost, 1 s: asked 4 to 11 times
  its server answers, 300 ms: unconfirmed, not lost, told waiting > unconfirmed > answers ab
  look, 3 s: asked no more; it is confirmed: carrying, by a proof
A10 it is unconfirmed at once when the server closes, and waits if it is then gone, lost when it was doubted
  a route, it is doubted: unconfirmed, not lost; 0 ms: waiting, lost at 1000
  its server answers, 250 ms: told unconfirmed > waiting > unconfirmed > answers ab
A10 a server that goes between its answer and its confirmation is another loss, after which it is probed again
  a route, its server answers as first, it is doubted, 0 ms: unconfirmed
  look, its server answers as second, the server goes, 0 ms: a later outage, unconfirmed, 2 answers told
  look, the first server goes: the same outage
  it is confirmed: closed second; the server goes: carrying
A10 a server that ends each idle connection after a while can be confirmed in the end: it is then accepted
  a route, its server answers as each, it is doubted, 20 times after 800 ms the server goes: asked 6 times
  look, 5 s: the same outage, unconfirmed, 6 answers told; it is confirmed: carrying
  it is doubted, 0 ms: asked 7 times
A10 a loss restarts the count of the connections that a server ends
  a route, its server answers as each, it is doubted, 20 times after 800 ms the server goes: asked 6 times
  it is lost, 0 ms: asked 7 times
A10 a server that ends its connections at once is doubted each time, whatever it is known to do with idle ones
  a route, its server answers as each, it is doubted, 5 times after 800 ms the server goes
  1 times after 300 ms the server goes, 300 ms: asked 7 times
A10 each doubt is reported, because it has a different number, and nothing of one is left once it is confirmed
  a route, it is doubted, it is doubted: told unconfirmed > unconfirmed
  its server answers, it is lost, 300 ms: loss at 1000, answered at 1200; it is confirmed: answered not, no loss
A10 a server's answer before another doubt proves nothing about it
  a route, its server answers, it is doubted, 0 ms: answered at 1000; its server is gone, it is doubted: answered not
A10 a server that ends every connection right after its answer counts as away, until one lasts; no proof of it is requested
  a route, its server answers as each, it is doubted, 20 times after 0 ms the server goes: asked 2 times
  100 times after 100 ms the server goes: asked 11 to 59 times, waiting, lost at 1000, 2 answers told
  look, 400 ms: waiting; 400 ms: unconfirmed, the same outage
  it is confirmed, it is doubted, 0 ms: last told answers ab
A10 a server that is gone before its answer is read is probed again
  a route, its server answers, its servers go before their answers are read, it is doubted, 0 ms: asked 2 times
  1 s: waiting
A10 nothing is kept of a server that answers when it is no longer probed
  a route, its server answers as each, it is doubted, 20 times after 0 ms the server goes
  its server answers as last, 300 ms: asked 3 times; it ends, 0 ms: closed last
A10 a server that has just returned is not kept waiting for an earlier one's behaviour
  a route, its server answers as each, it is doubted, 20 times after 100 ms the server goes: waiting
  its server is gone, 1 s, its server answers, 200 ms: unconfirmed
A10 the record of a server ends with the next doubt, and with the share
  a route, its server answers as first, it is doubted, 0 ms, its server answers as second, it is lost, 0 ms: closed first
  it ends: closed first > second
A10 it refuses when the patience since the loss is over, until a connect works again
  a route, it is lost, 59999 ms: waiting; 1 ms: refusing, told waiting > impatient since 1000 > refusing
  100 s: refusing; its server answers, 1 s: unconfirmed, not lost
A10 while off network by only_on it refuses at once and probes nothing, whatever is lost until then, until it is home again
  a route, it leaves home: refusing, lost at 1000, told impatient since Infinity > refusing, no timers
  its server answers, it is lost, it is doubted, 3600 s: refusing, asked 0 times, no timers
  it is home again, 1 ms: unconfirmed, asked 1 times; it is confirmed: carrying
A10 off network by only_on a query in progress is not repeated
  a route, it is lost, 1 ms, look, it leaves home, 3600 s: asked no more, refusing
A10 a server that returns late has time to be proved, and if never confirmed is refused in the end
  a route, patience 5000 ms, it is lost, 4900 ms, its server answers, 300 ms: unconfirmed
  9 s: unconfirmed; 1500 ms: refusing; it is confirmed: carrying
A10 a change of the patience also counts from the loss
  a route, it is lost, 10 s, patience 12000 ms, its patience is counted anew, 1999 ms: waiting; 1 ms: refusing
A10 a move ends every earlier state
  a route, patience 100 ms, it is lost, 200 ms: refusing; it is confirmed: carrying, not lost
  1 s: carrying, no timers
A10 the patience is counted from the first loss, however often it is lost again, and not once the share ends
  a route, it is lost, 30 s, it is lost, 29999 ms: waiting; 1 ms: refusing; it ends: no timers
  a route, it is lost, it ends: no timers
A10 off network by only_on after a restart it refuses, and probes nothing
  a route away after a start anew: refusing, asked 0 times; 3600 s: refusing, asked 0 times, no timers
A10 after a restart the server has to be proved, and there is none
  a route after a start anew: unconfirmed; 0 ms: told waiting
`,
);
