// Who is behind the routes of a share, by what is proved of them: each story looks at the routes, is answered, and looks again.
import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type RouteInUse, ServerIdentities } from "../../../src/shares/engine/server-identities.ts";
import type { IdentityObservation, RouteObservation } from "../../../src/shares/policy/share-observation.ts";
import type { ProofResult } from "../../../src/shares/server-proof/server-proofs.ts";
import type { RouteName } from "../../../src/shares/share-spec.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { type Act, type Fact, tellStories } from "../../support/stories.ts";
import { SPEC } from "../world.ts";

interface Asked {
  readonly what: string;
  readonly answer: (verdict: ProofResult) => void;
  readonly signal: AbortSignal;
  readonly isSteady: () => boolean;
}

type World = ReturnType<typeof unknown>;

/** Nothing is known of any server yet. */
function unknown() {
  const clock = createManualClock();
  const asked: Asked[] = [];
  const now = {
    outage: 1 as number | null,
    verdicts: 0,
    hasEnded: false,
    told: null as IdentityObservation | null,
  };
  /** The server that each comparison was certain of. */
  const certain: (string | null)[] = [];
  const ask = (what: string, signal: AbortSignal, isSteady = () => true): Promise<ProofResult> =>
    new Promise((answer) => asked.push({ what, answer, signal, isSteady }));
  const proof: ConstructorParameters<typeof ServerIdentities>[0]["proof"] = {
    compare(_share, _ends, inUse, isSteady, signal) {
      certain.push(inUse);
      return ask("compare", signal, isSteady);
    },
    recognise: (_share, route, _end, { not = null }, signal) =>
      ask(`recognise ${route}${not === null ? "" : ` not ${not}`}`, signal),
  };
  const trust = new ServerIdentities({ clock, proof, outage: () => now.outage }, () => {
    now.verdicts++;
  });
  return { clock, asked, certain, now, trust };
}

/** A host that answers, as the server of that GUID; or does not. */
function seen(guid: string | null): RouteObservation {
  const nowhere = { interfaceName: null, text: "", localAddress: null };
  const answers = { verdict: "answers", tcpAnswered: true, address: "10.0.0.1" } as const;
  const gone = { verdict: "gone", tcpAnswered: false, address: null, serverGuid: null } as const;
  return { atMs: 0, probe: { ...nowhere, ...(guid === null ? gone : { ...answers, serverGuid: guid }) } };
}

const UNCONFIGURED = { observed: seen("aa"), port: 445 };

/** `over tb` goes on, `lost tb at 2` has had its second outage, `left at 1` moved at that one; all by what comes after. */
function inUseOf(words: string): RouteInUse | null {
  const [, how, route, at] = /(over|lost) (tb|fallback)(?: at (\d+))?/.exec(words) ?? [];
  if (route !== "tb" && route !== "fallback") return null;
  const [, witness] = /witness (\w+)/.exec(words) ?? [];
  const [, server] = /of (\w+)/.exec(words) ?? [];
  const [, left] = /left at (\w+)/.exec(words) ?? [];
  return {
    ...{ route, outage: Number(at ?? 1), goesOn: how === "over" },
    server: server === "nobody" ? null : (server ?? "s1"),
    ...(witness !== undefined && { witness: witness === "none" ? null : Number(witness) }),
    ...(left !== undefined && { outageAtMove: left === "unknown" ? null : Number(left) }),
    ...(words.includes("by unconfigured") && { unconfigured: UNCONFIGURED }),
  };
}

function look(
  { trust, now }: World,
  up: string,
  guids: Partial<Record<RouteName, string>>,
  words: string,
): void {
  const end = (route: RouteName): RouteObservation =>
    seen(up === "both" || up === route ? (guids[route] ?? "aa") : null);
  const routes = { tb: end("tb"), fallback: end("fallback") };
  const checksLogin = words.includes("for its login");
  now.told = trust.observe({
    spec: SPEC,
    routes,
    wanted: true,
    inUse: inUseOf(words),
    ...(checksLogin && { checksLogin }),
  });
}

async function answer({ asked }: World, verdict: ProofResult): Promise<void> {
  asked.at(-1)?.answer(verdict);
  await turn();
}

const acts: readonly Act<World>[] = [
  [
    /^look at (both|tb|fallback|neither)(?: (tb|fallback) is (\w+))? ?(.*)$/,
    (world, up = "", other, guid = "", words = "") =>
      look(world, up, other === undefined ? {} : { [other]: guid }, words),
  ],
  [/^same(?: as (\w+))?$/, (world, server = "s1") => answer(world, { kind: "same", server })],
  [
    /^different "(.*?)"(?: is (\w+))?$/,
    (world, text = "", server) =>
      answer(world, { kind: "different", text, ...(server !== undefined && { server }) }),
  ],
  [/^unproved$/, (world) => answer(world, { kind: "unproved", text: "it cannot be listed" })],
  [/^doubt (tb|fallback)$/, ({ trust }, route) => trust.invalidate(route === "tb" ? "tb" : "fallback")],
  [/^retry$/, ({ trust }) => trust.retry()],
  [/^retry tb$/, ({ trust }) => trust.retry(["tb"])],
  [/^retry both$/, ({ trust }) => trust.retry(["tb", "fallback"])],
  [/^(\d+) s$/, ({ clock }, seconds) => clock.advance(Number(seconds) * 1000)],
  [
    /^(?:no outages|outage (\d))$/,
    ({ now }, outage) => {
      now.outage = outage === undefined ? null : Number(outage);
    },
  ],
  [
    /^ended$/,
    async ({ trust, now }) => {
      void trust[Symbol.asyncDispose]().then(() => {
        now.hasEnded = true;
      });
      await turn();
    },
  ],
];

const toldOf = ({ now }: World): IdentityObservation => now.told ?? assert.fail("nobody has looked");

const facts: readonly Fact<World>[] = [
  [
    /^proved (both|tb|fallback|neither)$/,
    (world, which) => [
      toldOf(world).proved,
      { tb: which === "both" || which === "tb", fallback: which === "both" || which === "fallback" },
    ],
  ],
  [/^(not )?asking$/, (world, not) => [toldOf(world).isProving, not === undefined]],
  [/^(same|different|unasked)$/, (world, state) => [toldOf(world).state, state]],
  [/^says nothing$/, (world) => [toldOf(world).text, null]],
  [/^says "(.*)"$/, (world, text) => [toldOf(world).text, text]],
  [/^asked (.+)$/, ({ asked }, questions) => [asked.map(({ what }) => what).join(" + "), questions]],
  [/^last asked (.+)$/, ({ asked }, question) => [asked.at(-1)?.what, question]],
  [/^(\d+) questions?$/, ({ asked }, count) => [asked.length, Number(count)]],
  [
    /^(?:question )?(\d+) is (not )?cut$/,
    ({ asked }, nth, not) => [asked[Number(nth) - 1]?.signal.aborted, not === undefined],
  ],
  [/^question 1 is (not )?steady$/, ({ asked }, not) => [asked[0]?.isSteady(), not === undefined]],
  [
    /^servers (\w+) (\w+)$/,
    (world, tb, fallback) => [
      [toldOf(world).servers?.tb.id ?? "none", toldOf(world).servers?.fallback.id ?? "none"],
      [tb, fallback],
    ],
  ],
  [/^tb was (not )?tried$/, (world, not) => [toldOf(world).servers?.tb.isAttempted, not === undefined]],
  [/^unconfigured (not )?proved$/, (world, not) => [toldOf(world).unconfiguredProved, not === undefined]],
  [/^better is (\w+)$/, (world, better) => [toldOf(world).correctedId ?? "none", better]],
  [/^(\d) verdicts?$/, ({ now }, count) => [now.verdicts, Number(count)]],
  [/^certain of (\w+)$/, ({ certain }, server) => [certain, [server === "nobody" ? null : server]]],
  [/^no timers$/, ({ clock }) => [clock.pendingTimers, 0]],
  [/^has (not )?ended$/, ({ now }, not) => [now.hasEnded, not === undefined]],
];

/** Both routes are proved by one comparison, while `words` are in use. */
const proved = async (words = ""): Promise<World> => {
  const world = unknown();
  look(world, "both", {}, words);
  await answer(world, { kind: "same", server: "s1" });
  return world;
};

const starts = { unknown, proved: () => proved(), "proved over tb": () => proved("over tb") };

tellStories(
  { starts, acts, facts },
  `
A10 both routes are proved by one comparison, and its end is reported
  unknown, look at both: asking; look at both: asked compare
  same: no timers; look at both: same, not asking, says nothing, proved both, servers s1 s1, 1 question
A10 a failed proof counts as tried until its route is lost, and one that ends after disposal is not reported
  unknown, look at both, unproved, look at both: tb was tried; look at fallback: tb was not tried, 1 verdict
  ended, same: has ended, 1 verdict
A13 the other route is proved again when the connection that identified its server has ended
  proved, look at both over tb witness none, look at both over tb witness 7: proved both, 1 question
  look at both over tb witness none: proved tb, 2 questions
  same, look at both over tb witness 8: proved both, 2 questions
A13 routes that led to two servers may lead to one after they were away: neither is ruled out for the other
  unknown, look at both, different "two", look at both: last asked recognise tb
  same, look at both: last asked recognise fallback not s1
  same as s2, look at neither, look at both: last asked recognise tb
  same, look at both: last asked recognise fallback
A10 a route that was away is no longer proved, and is compared with the one that stayed
  proved, look at tb over tb: proved tb; look at both over tb: asked compare + compare
A10 another GUID at the same address is a server that was away
  proved, look at both fallback is bb over tb: proved tb
A10 a proof begun before a doubt proves nothing after it
  unknown, look at both, doubt tb, same, look at both: proved fallback
A10 after both were away the server is recognized first: two equal strangers are not the known one
  proved, look at neither lost tb, look at both lost tb: last asked recognise tb
  different "other files", look at both lost tb: different, says "other files", proved neither, 2 questions
A10 a server that was lost and returned within one check is recognized again: the other route vouches for nothing
  proved over tb, look at both over tb: proved both; look at both lost tb at 2: proved fallback, asking, last asked recognise tb
  different "other files", look at both lost tb at 2: proved fallback
A10 a server that was lost right after its share was mounted is recognized again, whatever was proved before
  proved, look at both lost tb: proved fallback, last asked recognise tb
A10 connections that were seen alive before a loss prove nothing after it
  proved over tb, look at both lost tb at 2, look at both over tb at 1, look at both lost tb at 2: proved fallback
A10 a loss before a move takes the proof of the route that was left
  unknown, look at both over fallback, same, look at both over fallback: proved both; look at both lost tb at 2 left at 2: proved tb
A10 a loss after a move takes the proof of the route that was taken
  unknown, look at both over fallback, same, look at both over fallback: proved both; look at both lost tb at 2 left at 1: proved fallback
A10 losses before and after a move take both proofs
  unknown, look at both over fallback, same, look at both over fallback: proved both; look at both lost tb at 3 left at 2: proved neither
A10 a loss around a move takes both proofs when its time is unknown
  unknown, look at both over fallback, same, look at both over fallback: proved both; look at both lost tb at 2 left at unknown: proved neither
A10 a comparison interrupted by a loss remembers nothing, and ends
  unknown, look at both over tb: question 1 is steady; outage 2: question 1 is not steady
  look at both lost tb at 2: 1 is cut; same, look at both lost tb at 2: proved neither
A10 after a loss of both, the other route is compared once the one in use is recognized
  unknown, look at neither lost tb, look at both lost tb, same, look at both lost tb: proved tb, asked recognise tb + compare
A10 a single route is checked while it is certain, so that its server is recognized later
  unknown, look at tb over tb: asked compare
A13 a single route is recognized, whether a share is mounted or not
  unknown, look at fallback: asked recognise fallback; unknown, look at fallback lost tb: asked recognise fallback
A10 when a route goes in the middle of a comparison, that ends, and the other is recognized without a pause
  proved, look at fallback over fallback, look at both over fallback, look at tb lost fallback: asking, 2 is cut
  unproved, look at tb lost fallback: asking, same, asked compare + compare + recognise tb
  same, look at tb lost fallback: proved tb
A10 a check of one route that a loss of the other cut short is not a verdict, and is repeated at once
  proved, look at fallback over fallback, look at tb over fallback: asking; look at tb lost fallback at 2: 2 is cut
  unproved, look at tb lost fallback at 2: asking, same, asked compare + recognise tb + recognise tb
A10 a comparison interrupted by a loss of the server in use shows nothing, and is repeated at once
  proved over tb, look at tb over tb, look at both over tb, outage 2, unproved, look at both: same, asking, says nothing, asked compare + compare + compare
A10 a failed proof is retried at growing intervals, and at once after a change
  unknown, look at both, unproved, look at both: not asking; 1 s, look at both: asking
  unproved, 1 s, look at both: not asking; 1 s, look at both: asking
A13 connections to the old address of an edited host prove nothing about the new one
  unknown, look at tb tb is bb over tb by unconfigured: proved neither, unconfigured proved, asked recognise tb
  different "other files" is s2, look at tb tb is bb over tb by unconfigured: different, says "other files", servers s2 none, proved neither, unconfigured proved
A13 an address that only its old connections vouch for is recognized once they are lost
  unknown, look at neither lost tb by unconfigured: unconfigured not proved, asked recognise tb
  same, look at neither lost tb by unconfigured: unconfigured proved
A14 a failed proof is repeated at once after a changed login, mounted or not
  unknown, look at both, unproved, look at both: not asking; retry both, look at both: asking
  unknown, look at both over tb, unproved, look at both over tb: not asking; retry both, look at both over tb: asking
A13 two routes that lead to two servers are each known by their own, and neither is queried again
  unknown, look at both, different "only the first has a.txt", look at both, same, look at both, same as s2, look at both: servers s1 s2, different, not asking, says "only the first has a.txt"
A13 a server that was mounted before it could be proved, and turns out to be a known one, is reported, for that mount only
  unknown, look at tb over tb of new, same, look at tb over tb of new: better is s1, proved tb, servers s1 none, 1 question
  look at tb over tb: better is none
A10 a late one is ended
  unknown, look at both, 12 s: 1 is cut
A10 a proof ends with its share, and the end waits until nothing of it is left
  unknown, look at both, ended: 1 is cut, has not ended; look at both: 1 question; unproved: has ended; look at both: 1 question
A10 routes that lead to two servers do so while one of them is away, and until both are known to be one
  unknown, look at both, different "other files", look at both, same, look at both, same as s2, look at fallback: different
  look at both, same as s2, look at both: same
A13 living connections prove nothing about a route whose host does not answer
  proved, look at fallback over tb: proved fallback
A13 after a doubt about it, a route of two that led to two servers may lead to the other's
  unknown, look at both, different "two", doubt fallback, look at both, same, look at both: asked compare + recognise tb + recognise fallback
A13 after it was away unproved, a route of two that led to two servers may lead to the other's
  unknown, look at both, different "two", look at tb, look at both, same, look at both: asked compare + recognise tb + recognise fallback
A13 an edited address ends the proof in progress, and both routes are compared again
  unknown, look at both, different "two", look at both, retry tb: 2 is cut; unproved, look at both: asked compare + recognise tb + compare
A14 a proof that is to be tried again counts as not tried
  unknown, look at both, unproved, retry, look at both: tb was not tried
A13 a route that went away while it was recognized is not proved by that
  unknown, look at tb, look at neither, same, look at tb: proved neither
A13 a mount of unknown origin counts as of the server that was proved there
  proved, look at both over tb of nobody: servers s1 s1, proved both
A13 a proof of a former address is lost with it, or with its connections, and does not apply to the next
  unknown, look at neither over tb by unconfigured: unconfigured proved; look at neither lost tb at 2 by unconfigured: unconfigured not proved
  same, look at neither lost tb at 2 by unconfigured: unconfigured proved
  look at neither lost tb at 2, look at neither lost tb at 2 by unconfigured: unconfigured not proved
  unproved, look at neither lost tb at 2 by unconfigured: not asking; look at neither lost tb at 2, look at neither lost tb at 2 by unconfigured: asking
  unproved, look at fallback lost tb at 2 by unconfigured: last asked recognise fallback
A13 while a former address is in use, a comparison is certain of no server
  unknown, look at both over tb by unconfigured: certain of nobody
A13 a sentinel connection of the former route shows nothing when it ends with the move
  proved, look at both over tb witness 7, look at both over fallback witness none: proved both
A13 a sentinel connection that lasted makes no proof wait
  proved, look at both over tb witness 1, 31 s, look at both over tb witness none: 2 questions
  same, look at both over tb witness 2, 31 s, look at both over tb witness none: 3 questions
  same, look at both over tb witness 3, 31 s, look at both over tb witness none: 4 questions
A14 the login is queried where the mounted server is certain, and only there
  proved, look at both over tb by unconfigured for its login: 1 question; look at both over tb for its login: 2 questions
  proved, look at both lost tb, same, look at both lost tb for its login: asked compare + recognise tb
A13 where the relay counted no outages before, none invalidates a proof
  unknown, no outages, look at both, outage 5: question 1 is steady
A13 a comparison in which one route was lost does not show two servers
  unknown, look at both, doubt tb, different "two", look at both: unasked
A13 one route that leads elsewhere for a while does not make two servers
  unknown, look at tb, different "other files", 1 s, look at tb, same, look at tb: same
`,
);

test("A13 a server that repeatedly ends idle connections early is proved at growing intervals, and at once when it is needed", async () => {
  const world = unknown();
  const { asked, clock } = world;
  let answered = 0;
  const looked = async (up: string, words: string): Promise<boolean> => {
    look(world, up, {}, words);
    for (; answered < asked.length; answered += 1) asked[answered]?.answer({ kind: "same", server: "s1" });
    await turn();
    return toldOf(world).proved.fallback;
  };
  look(world, "both", {}, "");
  let witness: number | null = null;
  for (let second = 0; second < 600; second += 1) {
    const isProved = await looked("both", `over tb witness ${witness ?? "none"}`);
    // It ends within a second, and there is a new one for each proof.
    witness = witness === null && isProved ? second : null;
    await clock.advance(1_000);
  }
  assert.ok(asked.length > 3 && asked.length < 20, `${asked.length} proofs in ten minutes`);
  await looked("both", "over tb witness none");
  const before = asked.length;
  await looked("fallback", "lost tb witness none");
  assert.equal(asked.length, before + 1);
  assert.equal(asked.at(-1)?.what, "recognise fallback");
});

test("A10 a proof that fails while programs wait is retried each second", async () => {
  const world = unknown();
  for (let failures = 0; failures < 8; failures++) {
    look(world, "fallback", {}, "lost tb");
    assert.equal(toldOf(world).isProving, true);
    await answer(world, { kind: "unproved", text: "it takes too long" });
    look(world, "fallback", {}, "lost tb");
    assert.equal(toldOf(world).isProving, false);
    await world.clock.advance(1000);
  }
  assert.equal(world.asked.length, 8);
});
