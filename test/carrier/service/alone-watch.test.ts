// What the carrier decides for itself, on a clock that the test moves, over a service that writes down what it is told.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { CarriedShare, JournalEntry, RouteEndpoint } from "../../../src/carrier/carrier.ts";
import type { ShareCarrier } from "../../../src/carrier/connections/carried-share.ts";
import type { ShareSettings } from "../../../src/carrier/connections/share-settings.ts";
import { AloneWatch } from "../../../src/carrier/service/alone-watch.ts";
import type { ServedShare } from "../../../src/carrier/service/carrier-service.ts";
import type { ServerProof } from "../../../src/carrier/smb/server-proof.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

const TB: RouteEndpoint = { address: "10.0.0.1", port: 445, localAddress: null };
const FALLBACK: RouteEndpoint = { address: "10.0.0.2", port: 445, localAddress: null };
const MOUNT = { id: "36:0:45", path: "/mnt/CORE", process: null };
const SAME: ServerProof = { ok: true, guid: "same" };
const SILENT: ServerProof = { ok: false, reason: "silent", text: "silent" };

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
    tb: SAME as ServerProof,
    /** A connection to the other route is held, and its server answers over it. */
    isWitnessed: true,
    isWitnessThere: true,
    doubtedAtMs: null as number | null,
    outlivedDoubt: false,
    pings: 0,
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
      CarriedShare,
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
    state: () => ({ ...world.state }),
    get doubtedAtMs() {
      return world.doubtedAtMs;
    },
    get outlivedDoubt() {
      return world.outlivedDoubt;
    },
    get standby() {
      if (!world.isWitnessed) return null;
      const stillThere = () => Promise.resolve(world.isWitnessThere);
      return { route: "fallback", endpoint: FALLBACK, id: 1, witness: { stillThere } } as const;
    },
    beginAlone() {
      settings.epoch += 1;
    },
    learn: (guid: string) => {
      settings.guid = guid;
    },
  };
  const one: ServedShare = {
    // Of a share's carrier nothing else is asked.
    carrier: carrier as unknown as ShareCarrier,
    openedAtMs: clock.monotonicMs(),
    seenGuid: null,
    seenOutage: 1,
  };
  const served = new Map([["CORE", one]]);
  const service = {
    served,
    close(share: string) {
      told.push(`close ${share}`);
      served.delete(share);
      return Promise.resolve();
    },
    confirm(share: string) {
      told.push(`confirm ${share}`);
      world.doubtedAtMs = null;
      world.state = { ...world.state, phase: "carrying" };
    },
    hold: (share: string) => {
      told.push(`hold ${share}`);
      lose();
    },
    move({ to }: { readonly to: "tb" | "fallback" }) {
      told.push(`move ${to}`);
      settings.route = to;
      world.isWitnessed = false;
      world.doubtedAtMs = null;
      world.state = { ...world.state, phase: "carrying", routeLostAtMs: null, unansweredSinceMs: null };
      return Promise.resolve({ ok: true, quiet: false, connections: 1, tookMs: 1 } as const);
    },
    note: (entry: JournalEntry) => void journal.push(entry),
  };
  const watch: AloneWatch = new AloneWatch({
    clock,
    logger: createRecordingLogger(),
    service,
    prove: () => Promise.resolve(world.tb),
    isPresent: () => Promise.resolve(world.present),
    ping() {
      world.pings += 1;
      if (world.isAnswering) queueMicrotask(() => watch.heard());
      return true;
    },
  });
  t.after(() => watch[Symbol.dispose]());
  return { clock, told, journal, settings, world, lose, watch };
}

describe("a carrier without a daemon", () => {
  test("A10 stays where it is as long as the route is there", async (t) => {
    const { clock, told } = start(t);
    await clock.advance(600_000);
    assert.deepEqual(told, []);
  });

  test("A10 takes the other route two seconds after its own took no connections, and writes it down", async (t) => {
    const { clock, told, journal, world, lose } = start(t);
    await clock.advance(10_000);
    lose();
    await clock.advance(1_900);
    assert.deepEqual(told, []);
    await clock.advance(700);
    assert.deepEqual(told, ["move fallback"]);
    assert.deepEqual(journal, [
      {
        share: "CORE",
        at: journal[0]?.at,
        from: "tb",
        to: "fallback",
        reason: "the route takes no connections",
      },
    ]);
    world.tb = SAME;
    await clock.advance(600_000);
    assert.deepEqual(told, ["move fallback"], "it never goes back by itself");
  });

  test("A10 takes the other when a request has no answer for 2 s and its server none for NEGOTIATE", async (t) => {
    const { clock, told, world } = start(t);
    await clock.advance(10_000);
    world.state = { ...world.state, unansweredSinceMs: clock.monotonicMs() };
    await clock.advance(20_000);
    assert.deepEqual(told, [], "the server answers, only slowly");
    world.tb = SILENT;
    await clock.advance(1_000);
    assert.deepEqual(told, ["move fallback"]);
  });

  for (const [why, change] of [
    ["nothing was held there while it was proved", { isWitnessed: false }],
    ["its server no longer answers over what is held", { isWitnessThere: false }],
  ] as const) {
    test(`A13 alone, it waits when the other route is not certain: ${why}`, async (t) => {
      const { clock, told, journal, world, settings } = start(t);
      await clock.advance(10_000);
      Object.assign(world, change, { tb: SILENT });
      world.state = { ...world.state, unansweredSinceMs: clock.monotonicMs() };
      await clock.advance(60_000);
      assert.deepEqual(told, ["hold CORE"]);
      assert.deepEqual(
        journal.map(({ from, to, reason }) => [from, to, reason]),
        [
          [
            "tb",
            "tb",
            "the server does not answer over the route, and nothing shows who is behind the other",
          ],
        ],
      );
      assert.equal(settings.epoch, 1, "what a daemon decided before no longer counts");
    });
  }

  test("A13 alone, it goes on with a server that was away only if a connection from before goes on", async (t) => {
    const { clock, told, world, lose } = start(t);
    world.isWitnessed = false;
    await clock.advance(5_000);
    lose();
    world.state = { ...world.state, phase: "unconfirmed", routeLostAtMs: null };
    await clock.advance(60_000);
    assert.deepEqual(told, []);
    world.outlivedDoubt = true;
    await clock.advance(500);
    assert.deepEqual(told, ["confirm CORE"]);
  });

  test("A13 alone, it leaves a server that may be another for the one that it holds", async (t) => {
    const { clock, told, world, lose } = start(t);
    await clock.advance(5_000);
    lose();
    world.state = { ...world.state, phase: "unconfirmed", routeLostAtMs: null };
    await clock.advance(3_000);
    assert.deepEqual(told, ["move fallback"]);
  });

  test("A10 leaves all of that to a daemon that is there", async (t) => {
    const { clock, told, world, watch, lose } = start(t);
    world.isAnswering = true;
    watch.daemons(1);
    lose();
    watch.changed();
    world.present = false;
    await clock.advance(120_000);
    assert.deepEqual(told, []);
    world.present = true;
    watch.daemons(0);
    await clock.advance(2_500);
    assert.deepEqual(told, [], "a daemon that restarts is soon back");
    await clock.advance(1_500);
    assert.deepEqual(told, ["move fallback"]);
  });

  test("A15 a daemon that is there and gives no answer for 3 s counts as gone, until it answers", async (t) => {
    const { clock, told, world, watch, lose } = start(t);
    watch.daemons(1);
    await clock.advance(60_000);
    assert.equal(world.pings, 0, "while all is well nobody is asked");
    lose();
    watch.changed();
    assert.equal(world.pings, 1);
    await clock.advance(2_900);
    assert.deepEqual(told, []);
    await clock.advance(200);
    assert.deepEqual(told, ["move fallback"]);
    assert.equal(watch.isAlone, true);
    watch.heard();
    lose();
    world.isAnswering = true;
    watch.changed();
    await clock.advance(60_000);
    assert.deepEqual(told, ["move fallback"]);
  });

  test("A15 a daemon that is held up for less is waited for", async (t) => {
    const { clock, told, watch, lose, world } = start(t);
    watch.daemons(1);
    lose();
    watch.changed();
    await clock.advance(2_800);
    watch.heard();
    world.isAnswering = true;
    await clock.advance(60_000);
    assert.deepEqual(told, []);
  });

  test("A10 closes a share whose mount is gone, seen twice", async (t) => {
    const { clock, told, world } = start(t);
    await clock.advance(10_000);
    world.present = false;
    await clock.advance(2_000);
    assert.deepEqual(told, []);
    await clock.advance(2_500);
    assert.deepEqual(told, ["close CORE"]);
  });

  test("A10 closes a share that nothing was ever mounted through, after a minute alone", async (t) => {
    const { clock, told, watch, world } = start(t, { mount: null });
    watch.daemons(1);
    await clock.advance(300_000);
    watch.daemons(0);
    world.state = { ...world.state, connections: 1 };
    await clock.advance(300_000);
    assert.deepEqual(told, [], "somebody uses it: the daemon was killed before it said which mount it is");
    world.state = { ...world.state, connections: 0 };
    watch.daemons(1);
    watch.daemons(0);
    await clock.advance(59_000);
    assert.deepEqual(told, []);
    await clock.advance(2_000);
    assert.deepEqual(told, ["close CORE"]);
  });

  test("A10 learns the server's GUID when it has none", async (t) => {
    const { clock, settings } = start(t, { guid: null });
    await clock.advance(1_000);
    assert.equal(settings.guid, "same");
  });
});
