// A share whose driver is edited while the whole engine works on it: what was mounted always has an owner.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type InterfaceSnapshot, snapshotOf } from "../../../src/network/interfaces.ts";
import { createNetworkLocation } from "../../../src/network/location/network-location.ts";
import type { ShareTransition } from "../../../src/shares/policy/share-transitions.ts";
import type { ShareSpec } from "../../../src/shares/share-spec.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { routeTo } from "../share-spec.ts";
import { SPEC } from "../world.ts";
import { type SimDaemon, startSimDaemon } from "./sim-daemon.ts";
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
async function mounted(first: ShareSpec, onRouteChange: "move" | "remount" = "remount") {
  const clock = createManualClock();
  const network = new SimNetwork();
  const nas = { name: "nas" };
  for (const address of [TB, FALLBACK]) network.put(address, nas);
  const machine = new SimMachine(clock, network);
  const daemon = startSimDaemon(machine, clock, first, onRouteChange);
  await clock.advance(SETTLES_MS);
  /** Until the next mount over SMB is under way. */
  const untilMounting = async (): Promise<void> => {
    const before = machine.mountedFrom.length;
    for (let waitedMs = 0; machine.mountedFrom.length === before; waitedMs += 1) {
      assert.ok(waitedMs < SETTLES_MS, "it is not mounted over SMB");
      await clock.advance(1);
    }
  };
  const restartNas = async (): Promise<void> => {
    for (const there of [null, nas]) {
      for (const address of [TB, FALLBACK]) network.put(address, there);
      await clock.advance(SETTLES_MS);
    }
  };
  return { clock, machine, daemon, untilMounting, restartNas };
}

test("A6 a share that moves from a folder to a server is mounted over SMB once", async () => {
  const { clock, machine, daemon } = await mounted(LOCAL);
  assert.equal(machine.link?.folder, "/tb");
  daemon.apply(OVER_SMB);
  await clock.advance(SETTLES_MS);
  assert.equal(machine.link, null);
  assert.equal(machine.mountedFrom.length, 1, "it is remounted at once");
});

for (const onRouteChange of ["move", "remount"] as const) {
  test(`A6 with on_route_change = "${onRouteChange}", a share that moves from a server to a folder is mounted from there once it is closed`, async () => {
    const { clock, machine, daemon, restartNas } = await mounted(OVER_SMB, onRouteChange);
    machine.holders = 1;
    daemon.apply(LOCAL);
    await clock.advance(SETTLES_MS);
    await restartNas();
    assert.deepEqual([machine.link, machine.isMounted], [null, true]);
    machine.holders = 0;
    await clock.advance(SETTLES_MS);
    assert.deepEqual([machine.link?.folder, machine.isMounted], ["/tb", false]);
  });
}

/** What happens while the share, which was a folder before, is mounted over SMB. */
const MEANWHILE: Readonly<Record<string, (daemon: SimDaemon) => unknown>> = {
  "its driver is edited back": ({ apply }) => apply(LOCAL),
  "its driver is edited back, and somebody looks": async ({ apply, engine }) => {
    apply(LOCAL);
    await engine.observe("CORE");
  },
  "its driver is edited back, after its path and host": ({ apply }) => {
    apply({ ...OVER_SMB, routes: { tb: routeTo(FALLBACK), fallback: routeTo(null) } });
    apply(LOCAL);
  },
  "its driver is edited twice": ({ apply }) => {
    for (const spec of [LOCAL, OVER_SMB, LOCAL]) apply(spec);
  },
  "it is removed, added with its driver before, and somebody looks": async ({ apply, engine }) => {
    apply(null);
    apply(LOCAL);
    await engine.observe("CORE");
  },
  "its driver is edited back, and a person unmounts and mounts it": async ({ apply, engine }) => {
    apply(LOCAL);
    const { signal } = new AbortController();
    const waitUntilMs = Number.POSITIVE_INFINITY;
    const unmounted = engine.request(
      "CORE",
      { kind: "unmount", force: false, keepUnmounted: true, waitUntilMs },
      signal,
    );
    void unmounted.then(() => engine.request("CORE", { kind: "mount", waitUntilMs }, signal));
  },
};

for (const [what, happens] of Object.entries(MEANWHILE)) {
  test(`A6 while a share is being mounted ${what}: that mount is unmounted by its maker`, async () => {
    const { clock, machine, daemon, untilMounting } = await mounted(LOCAL);
    daemon.apply(OVER_SMB);
    await untilMounting();
    await happens(daemon);
    await clock.advance(SETTLES_MS);
    assert.deepEqual([machine.link?.folder, machine.isMounted], ["/tb", false]);
  });
}

test("A14 a share that was a folder first also reports a refused login", async () => {
  const { clock, machine, daemon } = await mounted(LOCAL, "move");
  daemon.apply(OVER_SMB);
  await clock.advance(SETTLES_MS);
  machine.refuseLogin();
  await clock.advance(SETTLES_MS);
  const { conditions } = daemon.engine.view("CORE");
  assert.ok(conditions.some(({ code }) => code === "login_refused"));
});

// The networks on which a share with `only_on` is used: a NAS with two cables in two subnets, and a machine that is moved.
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
