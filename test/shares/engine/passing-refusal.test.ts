// A login that the server refuses once, although it is right: an earlier daemon mounted with it.
import assert from "node:assert/strict";
import test from "node:test";
import { createManualClock, type ManualClock } from "../../support/manual-clock.ts";
import { routeTo } from "../share-spec.ts";
import { SPEC } from "../world.ts";
import { type SimDaemon, startSimDaemon } from "./sim-daemon.ts";
import { SimMachine } from "./sim-machine.ts";
import { SimNetwork } from "./sim-network.ts";

const [TB, FALLBACK] = ["10.0.0.1", "10.0.0.2"];
const CORE = { ...SPEC, routes: { tb: routeTo(TB), fallback: routeTo(FALLBACK) } };

/** CORE is mounted, a program has a file of it open, and the daemon is not the one that mounted it. */
async function afterRestart(): Promise<{ clock: ManualClock; machine: SimMachine; daemon: SimDaemon }> {
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
  const before = startSimDaemon(machine, clock, CORE, "auto");
  await clock.advance(5_000);
  machine.holders = 1;
  before.kill();
  const daemon = startSimDaemon(machine, clock, CORE, "auto");
  await clock.advance(5_000);
  return { clock, machine, daemon };
}

function conditionsOf({ engine }: SimDaemon): readonly string[] {
  return engine.view("CORE").conditions.map(({ code }) => code);
}

test("A14 a mount of an earlier daemon's logs in again after one refusal, with files open", async () => {
  const { clock, machine, daemon } = await afterRestart();
  machine.refuseLogon();
  await clock.advance(5_000);
  assert.equal(machine.isRefused, false, "the carrier turns logins away still");
  assert.deepEqual(conditionsOf(daemon), []);
});

test("A14 refused again, it has another login, and is mounted anew once its files are closed", async () => {
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
