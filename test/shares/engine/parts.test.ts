import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { isoTime } from "../../../src/runtime/time/clock.ts";
import type { MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import { ServerIdentities } from "../../../src/shares/engine/server-identities.ts";
import { createConditionLog, createDropLost } from "../../../src/shares/engine/share-engine.ts";
import { type ConfiguredShare, createProbeTimeouts } from "../../../src/shares/engine/share-subject.ts";
import type { ShareCondition } from "../../../src/shares/policy/decide.ts";
import type { IdentityObservation, RouteObservation } from "../../../src/shares/policy/share-observation.ts";
import type { ProofResult } from "../../../src/shares/server-proof/server-proofs.ts";
import { createManualClock, type ManualClock, settle } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { routeTo } from "../share-spec.ts";
import { SPEC } from "../world.ts";
import { type SimDaemon, startSimDaemon } from "./sim-daemon.ts";
import { SimMachine } from "./sim-machine.ts";
import { SimNetwork } from "./sim-network.ts";

const missing: ShareCondition = {
  code: "variable_missing",
  severity: "error",
  title: "The password is missing: NAS_PASSWORD is not set",
  hint: "Set it.",
  since: isoTime(0),
};
const slow: ShareCondition = { ...missing, code: "route_slow", severity: "warning" };

test("What to mount: the log reports at once the fault of a share, once, and its end", () => {
  const logger = createRecordingLogger();
  const log = createConditionLog(logger);
  log.report("CORE", [missing, slow]);
  log.report("CORE", [{ ...missing, since: isoTime(5) }]);
  log.report("MEDIA", [missing]);
  log.report("CORE", []);
  log.report("CORE", [missing]);
  log.report("CORE", [{ ...missing, title: "another variable" }]);
  log.report("CORE", [{ ...missing, title: "another variable 2" }]);
  log.report("CORE", [{ ...missing, title: "another variable 3" }]);
  const about = { code: missing.code, reason: missing.title };
  const told = logger.lines.map(({ level, message, fields }) => ({ level, message, fields }));
  const begun = (share: string) => ({
    level: "error",
    message: "share.condition",
    fields: { share, ...about, hint: missing.hint },
  });
  assert.deepEqual(told, [
    begun("CORE"),
    begun("MEDIA"),
    { level: "info", message: "share.condition_over", fields: { share: "CORE", ...about } },
    begun("CORE"),
    { level: "info", message: "share.condition_over", fields: { share: "CORE", ...about } },
    { ...begun("CORE"), fields: { ...begun("CORE").fields, reason: "another variable" } },
    {
      level: "info",
      message: "share.condition_over",
      fields: { ...about, share: "CORE", reason: "another variable" },
    },
    { ...begun("CORE"), fields: { ...begun("CORE").fields, reason: "another variable 2" } },
  ]);
});

// Dead connections that a mount keeps are dropped one round at a time, and the carrier hears when none is left.
function stage() {
  const said: string[] = [];
  const rounds: (() => void)[] = [];
  const carriage = {
    of: () => null,
    usedUp: async (share: string) => void said.push(`used up ${share}`),
  };
  const driver = {
    dropLost: (_share: unknown, kept: number) =>
      new Promise<void>((resolve) => {
        said.push(`drop, ${kept} kept`);
        rounds.push(resolve);
      }),
  } as Partial<MountDriver> as MountDriver;
  const subject = { spec: { name: "CORE" } as ConfiguredShare["spec"], driver };
  return { said, subject, drop: createDropLost(carriage), endRound: () => rounds.shift()?.() };
}

describe("dropping a mount's state of dead connections", () => {
  it("A10 notifies the relay when it is done", async () => {
    const { said, subject, drop, endRound } = stage();
    drop(subject);
    await settle();
    assert.deepEqual(said, ["drop, 0 kept"]);
    endRound();
    await settle();
    assert.deepEqual(said, ["drop, 0 kept", "used up CORE"]);
  });

  it("A10 connections lost during a round are dropped in one further round, before the relay is notified", async () => {
    const { said, subject, drop, endRound } = stage();
    for (let notices = 0; notices < 3; notices++) drop(subject);
    endRound();
    await settle();
    assert.deepEqual(said, ["drop, 0 kept", "drop, 0 kept"]);
    endRound();
    await settle();
    assert.deepEqual(said.slice(2), ["used up CORE"]);
    drop(subject);
    await settle();
    assert.equal(said.at(-1), "drop, 0 kept", "it can be asked for again");
    endRound();
  });
});

// A login that the server refuses once, although it is right: an earlier daemon mounted with it.
const [TB, FALLBACK] = ["10.0.0.1", "10.0.0.2"];
const CORE = { ...SPEC, routes: { tb: routeTo(TB), fallback: routeTo(FALLBACK) } };

/** CORE is mounted. */
async function mounted(onRouteChange: "move" | "remount") {
  const clock = createManualClock();
  const network = new SimNetwork(clock);
  const times = { modifiedMs: 1_600_000_000_000, createdMs: 1_500_000_000_000 };
  const photos = { name: "photos", isFolder: true, size: null, ...times };
  const nas = {
    name: "nas",
    guid: "aa",
    rootCreatedMs: 1_500_000_000_000,
    entries: new Map([["photos", photos]]),
  };
  for (const address of [TB, FALLBACK]) network.put(address, nas);
  const machine = new SimMachine(clock, network, [nas]);
  const daemon = startSimDaemon(machine, clock, CORE, onRouteChange);
  await clock.advance(5_000);
  return { clock, network, machine, daemon };
}

/** A program has a file of it open, and the daemon is not the one that mounted it. */
async function afterRestart(): Promise<{ clock: ManualClock; machine: SimMachine; daemon: SimDaemon }> {
  const { clock, machine, daemon: before } = await mounted("move");
  machine.holders = 1;
  before.kill();
  const daemon = startSimDaemon(machine, clock, CORE, "move");
  await clock.advance(5_000);
  return { clock, machine, daemon };
}

function conditionsOf({ engine }: SimDaemon): readonly string[] {
  return engine.view("CORE").conditions.map(({ code }) => code);
}

test("A14 a mount of an earlier daemon logs in again after one refusal, with files open", async () => {
  const { clock, machine, daemon } = await afterRestart();
  machine.refuseLogon();
  await clock.advance(5_000);
  assert.equal(machine.isRefused, false, "the carrier turns logins away still");
  assert.deepEqual(conditionsOf(daemon), []);
});

test("A14 after another refusal it gets another login, and remounts once its files are closed", async () => {
  const { clock, machine, daemon } = await afterRestart();
  machine.refuseLogon();
  await clock.advance(5_000);
  machine.refuseLogon();
  await clock.advance(10_000);
  assert.equal(machine.isRefused, true);
  assert.ok(conditionsOf(daemon).includes("waiting_for_close"), `${conditionsOf(daemon)}`);
  machine.holders = 0;
  await clock.advance(10_000);
  assert.equal(machine.isRefused, false, "it is not mounted anew");
  assert.deepEqual(conditionsOf(daemon), []);
});

test("A15 a failover waits for a proof that failed once, as the path would show older files", async () => {
  const { clock, network, machine } = await mounted("remount");
  network.cut(FALLBACK, true);
  await clock.advance(5_000);
  network.isUnreadable = true;
  network.cut(FALLBACK, false);
  await clock.advance(5_000);
  network.cut(TB, true);
  machine.write();
  await clock.advance(10_000);
  assert.equal(machine.mountedFrom.length, 1, `it is mounted from ${machine.mountedFrom}`);
  network.isUnreadable = false;
  await clock.advance(10_000);
  const [own] = machine.mountedFrom;
  assert.deepEqual([machine.mountedFrom, machine.caches.size], [[own, own], 0]);
});

const USUAL = Number.POSITIVE_INFINITY;
const CALM = {
  phase: "carrying",
  route: "tb",
  isSuspected: false,
  tookMs: { tb: null, fallback: 20 },
} as const;

test("A10 in calm no host is hurried, when unverified only the one in use", () => {
  const hurry = createProbeTimeouts();
  assert.deepEqual(hurry(CALM), {});
  assert.deepEqual(hurry({ ...CALM, isSuspected: true }), { tb: 300 });
  assert.deepEqual(hurry({ ...CALM, phase: null, route: null, isSuspected: true }), {});
});

test("A10 while programs wait both hosts are hurried, and those that are slow get a chance now and then", () => {
  const hurry = createProbeTimeouts();
  const looks = Array.from({ length: 8 }, () => hurry({ ...CALM, phase: "waiting" }));
  assert.deepEqual(pluck(looks, "tb"), [300, 300, 300, USUAL, 300, 300, 300, USUAL]);
  assert.ok(looks.every(({ tb, fallback }) => tb === fallback));
  assert.deepEqual(hurry({ ...CALM, phase: "refusing" }), {}, "their patience is over");
});

test("A10 a host that is slow keeps its time, as long as it answers", () => {
  const hurry = createProbeTimeouts();
  const waiting = { ...CALM, phase: "waiting" } as const;
  const tookMs = { tb: null, fallback: 500 };
  assert.deepEqual(hurry({ ...waiting, tookMs }), { tb: 300, fallback: USUAL });
  assert.deepEqual(hurry({ ...waiting, tookMs }), { tb: 300, fallback: USUAL });
  assert.deepEqual(hurry(waiting), { tb: 300, fallback: 300 });
});

for (const first of [1500, null]) {
  test(`A10 a host that answers in 1.5 s is proved while programs wait; at first it took ${first} ms`, async () => {
    const hurry = createProbeTimeouts();
    const verdict = Promise.withResolvers<ProofResult>();
    const proof = { compare: () => verdict.promise, recognise: () => verdict.promise };
    const trust = new ServerIdentities({ clock: createManualClock(), proof, outage: () => 1 }, () => {});
    const inUse = { route: "tb", server: "s1", outage: 1, goesOn: false } as const;
    let fallbackMs: number | null = first;
    const look = (): IdentityObservation => {
      const tookMs = { tb: null, fallback: fallbackMs };
      const { fallback = 0 } = hurry({ ...CALM, phase: "waiting", tookMs });
      fallbackMs = fallback >= 1500 ? 1500 : null;
      const routes = { tb: seen(false), fallback: seen(fallbackMs !== null) };
      return trust.observe({ spec: SPEC, routes, wanted: true, inUse });
    };
    for (let looks = 1; looks <= 5; looks++) look();
    assert.equal(look().isProving, true);
    verdict.resolve({ kind: "same", server: "s1" });
    await turn();
    assert.equal(look().proved.fallback, true, "what waits may be moved there");
  });
}

function seen(answers: boolean): RouteObservation {
  const place = { interfaceName: null, text: "", localAddress: null };
  const probe = answers
    ? ({ ...place, verdict: "answers", tcpAnswered: true, address: "10.0.0.1", serverGuid: "aa" } as const)
    : ({ ...place, verdict: "silent", tcpAnswered: false, address: null, serverGuid: null } as const);
  return { atMs: 0, probe };
}
