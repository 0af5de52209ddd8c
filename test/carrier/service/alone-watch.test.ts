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
    endpoints: { tb: TB, fallback: FALLBACK },
    patienceMs: 60_000,
    mount: MOUNT,
    guid: "same",
    confirmed: true,
    ...changes,
  };
  const world = {
    present: true,
    tb: SAME as ServerProof,
    fallback: SAME as ServerProof,
    state: {
      phase: "carrying",
      routeLostAtMs: null,
      unansweredSinceMs: null,
      lastAnswerAtMs: null,
      outage: 1,
    } as Pick<CarriedShare, "phase" | "routeLostAtMs" | "unansweredSinceMs" | "lastAnswerAtMs" | "outage">,
  };
  const carrier = {
    settings,
    state: () => ({ ...world.state }),
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
    wasConfirmed: false,
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
      world.state = { ...world.state, phase: "carrying" };
    },
    hold: (share: string) => {
      told.push(`hold ${share}`);
      world.state = { ...world.state, phase: "waiting", routeLostAtMs: clock.monotonicMs() };
    },
    move({ to }: { readonly to: "tb" | "fallback" }) {
      told.push(`move ${to}`);
      settings.route = to;
      world.state = { ...world.state, phase: "carrying", routeLostAtMs: null, unansweredSinceMs: null };
      return Promise.resolve({ ok: true, quiet: false, connections: 1, tookMs: 1 } as const);
    },
    note: (entry: JournalEntry) => void journal.push(entry),
  };
  const watch = new AloneWatch({
    clock,
    logger: createRecordingLogger(),
    service,
    prove: (endpoint) => Promise.resolve(endpoint === TB ? world.tb : world.fallback),
    isPresent: () => Promise.resolve(world.present),
  });
  t.after(() => watch[Symbol.dispose]());
  return { clock, told, journal, settings, world, one, watch };
}

describe("a carrier without a daemon", () => {
  test("A10 stays where it is as long as the route is there", async (t) => {
    const { clock, told } = start(t);
    await clock.advance(600_000);
    assert.deepEqual(told, []);
  });

  test("A10 takes the other route two seconds after its own took no connections, and writes it down", async (t) => {
    const { clock, told, journal, world } = start(t);
    await clock.advance(10_000);
    world.state = { ...world.state, phase: "waiting", routeLostAtMs: clock.monotonicMs() };
    world.tb = SILENT;
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

  test("A10 takes the other when a request has no answer for 5 s and its server none for NEGOTIATE", async (t) => {
    const { clock, told, world } = start(t);
    await clock.advance(10_000);
    world.state = { ...world.state, unansweredSinceMs: clock.monotonicMs() };
    await clock.advance(20_000);
    assert.deepEqual(told, [], "the server answers, only slowly");
    world.tb = SILENT;
    await clock.advance(1_000);
    assert.deepEqual(told, ["move fallback"]);
  });

  test("A10 waits when the other is silent, or another server", async (t) => {
    const { clock, told, world } = start(t);
    await clock.advance(10_000);
    world.state = { ...world.state, unansweredSinceMs: clock.monotonicMs() };
    world.tb = SILENT;
    world.fallback = { ok: true, guid: "another" };
    await clock.advance(60_000);
    assert.deepEqual(told, ["hold CORE"]);
  });

  test("A10 confirms the server that it knows, and no other", async (t) => {
    const { clock, told, world, one } = start(t);
    await clock.advance(5_000);
    world.state = { ...world.state, phase: "unconfirmed" };
    one.seenGuid = "another";
    await clock.advance(5_000);
    assert.deepEqual(told, []);
    one.seenGuid = "same";
    world.state = { ...world.state, outage: 2 };
    await clock.advance(5_000);
    assert.deepEqual(told, [], "seen before the server was lost again");
    one.seenOutage = 2;
    await clock.advance(500);
    assert.deepEqual(told, ["confirm CORE"]);
  });

  test("A10 leaves all of that to a daemon that is there", async (t) => {
    const { clock, told, world, one, watch } = start(t);
    watch.daemons(1);
    world.state = { ...world.state, phase: "waiting", routeLostAtMs: clock.monotonicMs() };
    one.seenGuid = "same";
    world.present = false;
    await clock.advance(120_000);
    assert.deepEqual(told, []);
    world.present = true;
    watch.daemons(0);
    await clock.advance(1_000);
    assert.deepEqual(told, [], "a daemon that restarts is soon back");
    await clock.advance(1_500);
    assert.deepEqual(told, ["move fallback"]);
  });

  test("A10 after its own death it confirms a known server at once", async (t) => {
    const { told, world, one, watch } = start(t);
    one.wasConfirmed = true;
    one.seenGuid = "same";
    world.state = { ...world.state, phase: "unconfirmed" };
    watch.answersAgain(one);
    assert.deepEqual(told, ["confirm CORE"]);
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
    const { clock, told, watch } = start(t, { mount: null });
    watch.daemons(1);
    await clock.advance(300_000);
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
