// A share whose driver is edited while the whole engine works on it: what was mounted always has an owner.
import assert from "node:assert/strict";
import test from "node:test";
import type { ShareSpec } from "../../../src/shares/share-spec.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { routeTo } from "../share-spec.ts";
import { SPEC } from "../world.ts";
import { startSimDaemon } from "./sim-daemon.ts";
import { SimMachine } from "./sim-machine.ts";
import { SimNetwork } from "./sim-network.ts";

const [TB, FALLBACK] = ["10.0.0.1", "10.0.0.2"];
const OVER_SMB: ShareSpec = { ...SPEC, routes: { tb: routeTo(TB), fallback: routeTo(FALLBACK) } };
const LOCAL: ShareSpec = {
  ...SPEC,
  driver: "local",
  routes: { tb: routeTo(null, { folder: "/tb" }), fallback: routeTo(null, { folder: "/fallback" }) },
};
const SETTLES_MS = 30_000;

/** A share that is mounted as the configuration has it first. */
async function mounted(first: ShareSpec) {
  const clock = createManualClock();
  const network = new SimNetwork(clock);
  const nas = { name: "nas", guid: "aa", rootCreatedMs: 1_500_000_000_000, entries: new Map() };
  for (const address of [TB, FALLBACK]) network.put(address, nas);
  const machine = new SimMachine(clock, network, [nas]);
  const daemon = startSimDaemon(machine, clock, first, "off");
  await clock.advance(SETTLES_MS);
  /** Until the next mount over SMB is under way. */
  const untilMounting = async (): Promise<void> => {
    const before = machine.mountedFrom.length;
    for (let waitedMs = 0; machine.mountedFrom.length === before; waitedMs += 1) {
      assert.ok(waitedMs < SETTLES_MS, "it is not mounted over SMB");
      await clock.advance(1);
    }
  };
  return { clock, machine, daemon, untilMounting };
}

test("A6 a share that goes from a folder to a server is mounted over SMB once", async () => {
  const { clock, machine, daemon } = await mounted(LOCAL);
  assert.equal(machine.link?.folder, "/tb");
  daemon.apply(OVER_SMB);
  await clock.advance(SETTLES_MS);
  assert.equal(machine.link, null);
  assert.equal(machine.mountedFrom.length, 1, "it is mounted anew at once");
});

test("A6 a driver edited while a mount of the former one is being made: that mount is unmounted by its maker", async () => {
  const { clock, machine, daemon, untilMounting } = await mounted(LOCAL);
  daemon.apply(OVER_SMB);
  await untilMounting();
  daemon.apply(LOCAL);
  await clock.advance(SETTLES_MS);
  assert.deepEqual([machine.link?.folder, machine.isMounted], ["/tb", false]);
});

test("A6 who only looks meanwhile makes nobody forget it", async () => {
  const { clock, machine, daemon, untilMounting } = await mounted(LOCAL);
  daemon.apply(OVER_SMB);
  await untilMounting();
  daemon.apply(LOCAL);
  await daemon.engine.look("CORE");
  await clock.advance(SETTLES_MS);
  assert.deepEqual([machine.link?.folder, machine.isMounted], ["/tb", false]);
});
