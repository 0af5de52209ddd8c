// What the carrier decides for itself, on a clock that the test moves, over a service that writes down what it is told.
import type { TestContext } from "node:test";
import type { ShareRelay } from "../../../src/relay/connections/share-relay.ts";
import type { ShareSettings } from "../../../src/relay/connections/share-settings.ts";
import type { JournalEntry, RelayedShare, RouteEndpoint } from "../../../src/relay/relay.ts";
import { AutonomousMode } from "../../../src/relay/service/autonomous-mode.ts";
import type { NegotiateResult } from "../../../src/relay/smb/negotiate-proof.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { type Act, type Fact, tellStories } from "../../support/stories.ts";

const TB: RouteEndpoint = { address: "10.0.0.1", port: 445, localAddress: null };
const FALLBACK: RouteEndpoint = { address: "10.0.0.2", port: 445, localAddress: null };
const MOUNT = { id: "36:0:45", path: "/mnt/CORE", process: null };
const SAME: NegotiateResult = { ok: true, guid: "same" };
const UNCERTAIN = "the server does not answer over the route, and the server behind the other is unknown";
const SILENT: NegotiateResult = { ok: false, reason: "silent", text: "silent" };

function start(t: TestContext, changes: Partial<ShareSettings> = {}) {
  const clock = createManualClock();
  const told: string[] = [];
  const journal: JournalEntry[] = [];
  const settings: ShareSettings = {
    share: "CORE",
    kind: "rclone",
    port: 40_001,
    route: "tb",
    endpoints: { tb: TB },
    patienceMs: 60_000,
    mount: MOUNT,
    guid: "same",
    confirmed: true,
    epoch: 0,
    ...changes,
  };
  const world = {
    present: true,
    tb: SAME as NegotiateResult,
    /** A connection to the other route is held, and its server answers over it. */
    isWitnessed: true,
    isWitnessThere: true,
    doubtedAtMs: null as number | null,
    outlivedDoubt: false,
    pings: 0,
    proofs: 0,
    /** A daemon is heard while its mount is looked at. */
    isHeardMeanwhile: false,
    isMoveRefused: false,
    openedAtMs: clock.monotonicMs(),
    /** Daemons answer pings. */
    isAnswering: false,
    state: {
      phase: "carrying",
      routeLostAtMs: null,
      unansweredSinceMs: null,
      lastAnswerAtMs: null,
      outage: 1,
      connections: 0,
    } as Pick<
      RelayedShare,
      "phase" | "routeLostAtMs" | "unansweredSinceMs" | "lastAnswerAtMs" | "outage" | "connections"
    >,
  };
  /** The route takes no connections from now on. */
  const lose = (): void => {
    world.doubtedAtMs = clock.monotonicMs();
    world.state = { ...world.state, phase: "waiting", routeLostAtMs: clock.monotonicMs() };
  };
  const carrier = {
    settings,
    get openedAtMs() {
      return world.openedAtMs;
    },
    state: () => ({ ...world.state }),
    get unprovedAtMs() {
      return world.doubtedAtMs;
    },
    get isConfirmedByTraffic() {
      return world.outlivedDoubt;
    },
    get standby() {
      if (!world.isWitnessed) return null;
      const stillThere = () => Promise.resolve(world.isWitnessThere);
      return { route: "fallback", endpoint: FALLBACK, id: 1, sentinel: { stillThere } } as const;
    },
    beginAutonomous() {
      settings.epoch += 1;
    },
    learn: (guid: string) => {
      settings.guid = guid;
    },
    confirm() {
      told.push("confirm CORE");
      world.doubtedAtMs = null;
      world.outlivedDoubt = false;
      world.state = { ...world.state, phase: "carrying" };
    },
    pause() {
      told.push("hold CORE");
      lose();
    },
  };
  // The watch uses only these members.
  const served = new Map([["CORE", carrier as unknown as ShareRelay]]);
  const service = {
    served,
    close(share: string) {
      told.push(`close ${share}`);
      served.delete(share);
      return Promise.resolve();
    },
    move({ to }: { readonly to: "tb" | "fallback" }) {
      told.push(`move ${to}`);
      if (world.isMoveRefused)
        return Promise.resolve({ ok: false, reason: "refused", text: "another server" } as const);
      settings.route = to;
      world.isWitnessed = false;
      world.doubtedAtMs = null;
      world.state = { ...world.state, phase: "carrying", routeLostAtMs: null, unansweredSinceMs: null };
      return Promise.resolve({ ok: true, quiet: false, connections: 1, tookMs: 1 } as const);
    },
    recordDecision: (entry: JournalEntry) => void journal.push(entry),
  };
  const watch: AutonomousMode = new AutonomousMode({
    clock,
    logger: createRecordingLogger(),
    service,
    prove() {
      world.proofs += 1;
      return Promise.resolve(world.tb);
    },
    isPresent() {
      if (world.isHeardMeanwhile) watch.heard();
      return Promise.resolve(world.present);
    },
    ping() {
      world.pings += 1;
      if (world.isAnswering) queueMicrotask(() => watch.heard());
      return true;
    },
  });
  t.after(() => watch[Symbol.dispose]());
  return { clock, told, journal, settings, world, lose, watch };
}

type World = ReturnType<typeof start>;

function inState({ world }: World, change: Partial<World["world"]["state"]>): void {
  world.state = { ...world.state, ...change };
}

const ACTS: readonly Act<World>[] = [
  [/^(\d+) (ms|s)$/, ({ clock }, count, unit) => clock.advance(Number(count) * (unit === "s" ? 1000 : 1))],
  [/^its route takes nothing$/, ({ lose }) => lose()],
  [/^a request waits$/, (all) => inState(all, { unansweredSinceMs: all.clock.monotonicMs() })],
  [/^a request is answered$/, (all) => inState(all, { unansweredSinceMs: null })],
  [/^another is answered$/, (all) => inState(all, { lastAnswerAtMs: all.clock.monotonicMs() })],
  [/^moves are refused$/, ({ world }) => (world.isMoveRefused = true)],
  [/^it is opened$/, ({ world, clock }) => (world.openedAtMs = clock.monotonicMs())],
  [/^a server is back$/, (all) => inState(all, { phase: "unconfirmed", routeLostAtMs: null })],
  [/^(\d) connections?$/, (all, connections) => inState(all, { connections: Number(connections) })],
  [/^its server (falls silent|answers)$/, ({ world }, how) => (world.tb = how === "answers" ? SAME : SILENT)],
  [/^nothing is held of the other$/, ({ world }) => (world.isWitnessed = false)],
  [/^what is held of the other is dead$/, ({ world }) => (world.isWitnessThere = false)],
  [/^a connection from before goes on$/, ({ world }) => (world.outlivedDoubt = true)],
  [/^its mount is (gone|there)$/, ({ world }, where) => (world.present = where === "there")],
  [/^a daemon (comes|goes)$/, ({ watch }, how) => watch.daemons(how === "comes" ? 1 : 0)],
  [/^daemons answer$/, ({ world }) => (world.isAnswering = true)],
  [/^a daemon is heard meanwhile$/, ({ world }) => (world.isHeardMeanwhile = true)],
  [/^a daemon is heard$/, ({ watch }) => watch.heard()],
  [/^it changes$/, ({ watch }) => watch.changed()],
  [/^it ends$/, ({ watch }) => watch[Symbol.dispose]()],
];
const FACTS: readonly Fact<World>[] = [
  [/^did nothing$/, ({ told }) => [told, []]],
  [/^did (.+)$/, ({ told }, deeds = "") => [told, deeds.split(" > ")]],
  [
    /^wrote (\w+) to (\w+) because (.+)$/,
    ({ journal }, ...entry) => [journal.map(({ from, to, reason }) => [from, to, reason]), [entry]],
  ],
  [
    /^wrote why it waits$/,
    ({ journal }) => [journal.map(({ from, to, reason }) => [from, to, reason]), [["tb", "tb", UNCERTAIN]]],
  ],
  [/^wrote nothing$/, ({ journal }) => [journal, []]],
  [/^epoch (\d)$/, ({ settings }, epoch) => [settings.epoch, Number(epoch)]],
  [/^GUID (\w+)$/, ({ settings }, guid) => [settings.guid, guid]],
  [/^asked (\d) times?$/, ({ world }, times) => [world.pings, Number(times)]],
  [/^proved (\d) times?$/, ({ world }, times) => [world.proofs, Number(times)]],
  [/^alone$/, ({ watch }) => [watch.isDaemonGone, true]],
];
const starts = {
  mounted: (t: TestContext) => start(t),
  "never mounted": (t: TestContext) => start(t, { mount: null }),
  "without a GUID": (t: TestContext) => start(t, { guid: null }),
};

tellStories(
  { starts, acts: ACTS, facts: FACTS },
  `
A10 without the daemon it stays where it is as long as the route works
  mounted, 600 s: did nothing
A10 it takes the other route two seconds after its own took no connections, records the move, and never returns automatically
  mounted, 10 s, its route takes nothing, 1900 ms: did nothing; 700 ms: did move fallback
  : wrote tb to fallback because the route accepts no connections; its server answers, 600 s: did move fallback
A10 it takes the other when a request has no answer for 2 s and its server, which may be slow, none for NEGOTIATE
  mounted, 10 s, a request waits, 20 s: did nothing; its server falls silent, 1 s: did move fallback
  mounted, 10 s, its server falls silent, a request waits, 1500 ms, another is answered, 1500 ms: did nothing
A10 a refused move is not recorded
  mounted, 10 s, moves are refused, its server falls silent, a request waits, 2100 ms: did move fallback, wrote nothing
A13 without the daemon it waits when the other route is not certain: it had no standby connection while it was proved
  mounted, 10 s, nothing is held of the other, its server falls silent, a request waits, 60 s: did hold CORE, epoch 1
  : wrote why it waits
A13 without the daemon it waits when the other route is not certain: its server no longer answers over the standby connection
  mounted, 10 s, what is held of the other is dead, its server falls silent, a request waits, 60 s: did hold CORE
  : epoch 1, wrote why it waits
A13 without the daemon it continues with a server that was away only if a connection from before continues
  mounted, nothing is held of the other, 5 s, its route takes nothing, a server is back, 60 s: did nothing
  a connection from before goes on, 500 ms: did confirm CORE
A13 it confirms nothing autonomously when a daemon returns just before it would
  mounted, nothing is held of the other, a daemon comes, its route takes nothing, it changes: did nothing
  a server is back, a connection from before goes on, 2800 ms, a daemon is heard, daemons answer, 60 s: did nothing
A13 without the daemon it leaves a possibly different server for the one of its standby connection
  mounted, 5 s, its route takes nothing, a server is back, 3 s: did move fallback
A10 it leaves all of that to a connected daemon, and to one that restarts
  mounted, daemons answer, a daemon comes, its route takes nothing, it changes, its mount is gone, 120 s: did nothing
  its mount is there, a daemon goes, 2500 ms: did nothing; 1500 ms: did move fallback
A15 a connected daemon that does not answer for 3 s counts as gone, until it answers; while all is well it is not asked
  mounted, a daemon comes, 60 s: asked 0 times; its route takes nothing, it changes: asked 1 time
  2900 ms: did nothing; 200 ms: did move fallback, alone
  a daemon is heard, its route takes nothing, daemons answer, it changes, 60 s: did move fallback
A15 a daemon that is delayed for less is waited for
  mounted, a daemon comes, its route takes nothing, it changes, 2800 ms, a daemon is heard, daemons answer, 60 s
  : did nothing
A15 a daemon that gave no answer and then goes has been silent since it was asked
  mounted, a daemon comes, its route takes nothing, it changes, 2500 ms, a daemon goes, 600 ms: did move fallback
A10 trouble that ends before the relay is autonomous, or before it may act, changes nothing
  mounted, its server falls silent, a request waits, 2600 ms, a request is answered, 5 s: did nothing
  mounted, its route takes nothing, 2600 ms, it ends, 5 s: did nothing
A13 each further wait is recorded
  mounted, 10 s, nothing is held of the other, its server falls silent, a request waits, 60 s: did hold CORE
  a connection from before goes on, a request is answered, 5 s: did hold CORE > confirm CORE
  a request waits, 60 s: did hold CORE > confirm CORE > hold CORE
A10 it closes a share whose mount is gone, seen twice in a row
  mounted, 10 s, its mount is gone, 2 s: did nothing; 2500 ms: did close CORE
  mounted, 10 s, its mount is gone, 1 s, its mount is there, 2 s, its mount is gone, 2 s: did nothing
  2 s: did close CORE
A10 it closes none while a daemon is back
  mounted, 10 s, its mount is gone, 2 s, a daemon is heard meanwhile, 60 s: did nothing
A10 it closes a share that was never mounted through it, after a minute without the daemon, unless a client uses it
  never mounted, a daemon comes, 300 s, a daemon goes, 1 connection, 300 s: did nothing
  0 connections, a daemon comes, a daemon goes, 59 s: did nothing; 2 s: did close CORE
  never mounted, 50 s, it is opened, 50 s: did nothing; 11 s: did close CORE
A10 it learns the server's GUID when it has none, once, and not more often than each 5 s
  without a GUID, a daemon comes, daemons answer, 30 s: GUID same, proved 1 time
  without a GUID, its server falls silent, 6 s: proved 2 times
  without a GUID, nothing is held of the other, its route takes nothing, 10 s: proved 0 times
`,
);
