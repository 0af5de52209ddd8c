// The networks on which a share with `only_on` is used: a NAS with two cables in two subnets, and a machine that is moved.
import assert from "node:assert/strict";
import test from "node:test";
import { type InterfaceSnapshot, snapshotOf } from "../../../src/network/interfaces.ts";
import { createNetworkLocation } from "../../../src/network/location/network-location.ts";
import type { ShareTransition } from "../../../src/shares/policy/share-transitions.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { routeTo } from "../share-spec.ts";
import { SPEC } from "../world.ts";
import { startSimDaemon } from "./sim-daemon.ts";
import { SimMachine } from "./sim-machine.ts";
import { SimNetwork } from "./sim-network.ts";

const [FIRST, SECOND] = ["10.0.1.2", "10.0.2.2"];
const link = (cidr: string) => [{ address: cidr.split("/")[0] ?? "", netmask: "", cidr }];
/** Where this machine may be; the NAS's address is held by both subnets of its own, and by a stranger's. */
const PLACES = {
  both: { eth0: link("10.0.1.9/24"), tb0: link("10.0.2.9/24") },
  first: { eth0: link("10.0.1.9/24") },
  second: { tb0: link("10.0.2.9/24") },
  stranger: { wlan0: link("10.0.9.9/16") },
} as const;
const ONE = ["subnet:10.0.1.0/24"];
const LEARNT = ["subnet:10.0.1.0/24@10.0.1.2", "subnet:10.0.2.0/24@10.0.2.2"];

async function start(onlyOn: readonly string[], from: keyof typeof PLACES = "both") {
  const clock = createManualClock();
  const network = new SimNetwork();
  for (const address of [FIRST, SECOND]) network.put(address, { name: "nas" });
  const machine = new SimMachine(clock, network);
  let at: keyof typeof PLACES = from;
  const interfaces = (nowMs: number): InterfaceSnapshot => snapshotOf(PLACES[at], nowMs);
  const links = { gateways: async () => [], neighbours: async () => [] };
  const location = createNetworkLocation({
    clock,
    links,
    interfaces,
    query: () => assert.fail("nothing is sent"),
  });
  const said: string[] = [];
  const probed: string[] = [];
  const own = network.hostProber(clock);
  const announce = (one: ShareTransition): void => {
    if (one.name === "share.networks") said.push(one.reason);
  };
  const hostProber: typeof own = {
    ...own,
    probe: (target, limits) => {
      probed.push(target.host);
      return own.probe(target, limits);
    },
  };
  const daemon = startSimDaemon(machine, clock, SPEC, "move", { location, announce, hostProber }, { onlyOn });
  const go = async (to: keyof typeof PLACES): Promise<string | null> => {
    at = to;
    network.cut(FIRST, to === "second");
    network.cut(SECOND, to === "first");
    location.networkChanged();
    await clock.advance(5_000);
    probed.length = 0;
    await clock.advance(60_000);
    return daemon.engine.view("CORE").observed?.offNetwork ?? null;
  };
  await clock.advance(60_000);
  return {
    clock,
    network,
    machine,
    daemon,
    said,
    probed,
    go,
    saved: () => machine.saved.memory.provedNetworks,
  };
}

test("A10 a route proved at home brings its network: without the first cable the share stays mounted", async () => {
  const { machine, said, go, saved } = await start([...ONE, "proved"]);
  assert.deepEqual([saved(), said], [LEARNT, [LEARNT.join(", ")]]);
  assert.equal(await go("second"), null);
  assert.equal(machine.isMounted, true);
  assert.equal(await go("first"), null);
  assert.deepEqual([saved(), said.length], [LEARNT, 1]);
});

test("A10 a person's own list stays unchanged: only the second network is off network, and nothing is sent", async () => {
  const { said, probed, go, saved } = await start(ONE);
  assert.deepEqual([saved(), said], [undefined, []]);
  assert.match((await go("second")) ?? "", /not in its only_on list/);
  assert.deepEqual(probed, []);
});

test("A10 while off network nothing is sent or learnt, whatever host answers there", async () => {
  const { probed, go, saved } = await start([...ONE, "proved"]);
  assert.match((await go("stranger")) ?? "", /not in its only_on list/);
  assert.deepEqual([saved(), probed], [LEARNT, []]);
  assert.equal(await go("both"), null);
  const fresh = await start([...ONE, "proved"], "second");
  assert.deepEqual([fresh.saved(), fresh.probed], [undefined, []], "its network was never proved at home");
});

test("A10 a new host is off network on the old one's network until it is proved at home, and this is reported", async () => {
  const { clock, network, daemon, said, go, saved } = await start([...ONE, "proved"]);
  const { routes } = SPEC;
  daemon.apply({ ...SPEC, routes: { ...routes, fallback: routeTo("10.0.2.3") } });
  await clock.advance(60_000);
  assert.deepEqual([saved(), said.at(-1)], [LEARNT.slice(0, 1), LEARNT[0]]);
  assert.match((await go("second")) ?? "", /not in its only_on list/);
  network.put("10.0.2.3", network.at(SECOND));
  assert.equal(await go("both"), null);
  await clock.advance(60_000);
  assert.deepEqual(saved(), [LEARNT[0], "subnet:10.0.2.0/24@10.0.2.3"]);
  assert.equal(await go("second"), null);
});
