// On which network this machine is: marks, what counts as away, and how long a new network has to show its gateway.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseArp, parseRoutes } from "../../../src/network/discover/links-darwin.ts";
import { parseProcArp, parseProcRoute } from "../../../src/network/discover/links-linux.ts";
import { snapshotOf } from "../../../src/network/interfaces.ts";
import {
  createNetworkLocation,
  hereFrom,
  networkIdsOf,
  offNetworkText,
} from "../../../src/network/location/network-location.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const HOME = "aa:bb:cc:dd:ee:01";
const OTHER = "aa:bb:cc:dd:ee:99";
const GATEWAY = { address: "192.168.1.1", interfaceName: "wlan0" };
const WLAN = { wlan0: [{ address: "192.168.1.9", netmask: "", cidr: "192.168.1.9/24" }] };
const CABLE = { tb0: [{ address: "10.10.10.2", netmask: "", cidr: "10.10.10.2/24" }] };
const LOOPBACK = {
  lo: [
    { address: "127.0.0.1", netmask: "", cidr: "127.0.0.1/8" },
    { address: "::1", netmask: "", cidr: "::1/128" },
  ],
};

const here = (links: Parameters<typeof snapshotOf>[0], mac: string | null, gateways = [GATEWAY]) =>
  hereFrom(snapshotOf({ ...LOOPBACK, ...links }, 0), gateways, mac === null ? [] : [{ ...GATEWAY, mac }]);

describe("A10 off network by only_on", () => {
  const only = [`gateway:${HOME}`];
  const rows: readonly [string, ReturnType<typeof here>, readonly string[], boolean][] = [
    ["the gateway is the share's own", here(WLAN, HOME), only, false],
    ["written in capitals by the system", here(WLAN, HOME.toUpperCase()), only, false],
    ["another gateway at the same address", here(WLAN, OTHER), only, true],
    ["a gateway whose address is not known", here(WLAN, null), only, true],
    ["no network at all: a cable that was pulled", here({}, HOME), only, false],
    ["another gateway, on a link that is down", here({}, OTHER), only, false],
    ["a link that leads nowhere near the NAS", here(CABLE, null, []), only, false],
    ["a link without a gateway that holds the NAS's address", here(WLAN, null, []), only, true],
    ["the cable, by its subnet", here(CABLE, null, []), ["subnet:10.10.10.0/24"], false],
    ["the cable beside another network", here({ ...WLAN, ...CABLE }, OTHER), ["subnet:10.10.10.0/24"], false],
    ["a subnet behind a gateway proves nothing", here(WLAN, OTHER), ["subnet:192.168.1.0/24"], true],
    ["one of two", here(WLAN, HOME), ["subnet:10.10.10.0/24", ...only], false],
  ];
  for (const [name, now, onlyOn, isAway] of rows) {
    test(name, () => {
      assert.equal(offNetworkText(now, onlyOn, ["192.168.1.2", "nas.local"]) !== null, isAway);
    });
  }
  test("a name is queried on no foreign link without a gateway, and waits where there is no link", () => {
    assert.notEqual(offNetworkText(here(CABLE, null, []), only, ["nas.local", ""]), null);
    assert.equal(offNetworkText(here({}, null, []), only, ["nas.local", ""]), null);
  });
});

describe("F3 the networks of a discovered NAS", () => {
  const both = here({ ...WLAN, ...CABLE }, HOME);
  const rows: readonly [string, ReturnType<typeof here>, readonly string[], readonly string[] | null][] = [
    ["behind a gateway, by that", both, ["192.168.1.2"], [`gateway:${HOME}`]],
    ["a cable of two machines, by its subnet", both, ["10.10.10.1"], ["subnet:10.10.10.0/24"]],
    [
      "both, each once",
      both,
      ["192.168.1.2", "10.10.10.1", "192.168.1.3"],
      [`gateway:${HOME}`, "subnet:10.10.10.0/24"],
    ],
    ["a gateway whose address is not known", here(WLAN, null), ["192.168.1.2"], null],
    ["an address of no link", both, ["192.168.1.2", "172.16.0.1"], null],
    ["a name", both, ["nas.local"], null],
    ["this machine itself", both, ["127.0.0.1"], null],
    [
      "a tunnel of one address",
      here({ tun0: [{ address: "10.8.0.2", netmask: "", cidr: "10.8.0.2/32" }] }, null, []),
      ["10.8.0.2"],
      null,
    ],
    [
      "an IPv6 address of one link, whose subnet every link has",
      here({ tb0: [{ address: "fe80::2", netmask: "", cidr: "fe80::2/10" }] }, null, []),
      ["fe80::1"],
      null,
    ],
    [
      "a gateway whose address another link has, too",
      hereFrom(
        snapshotOf(WLAN, 0),
        [GATEWAY],
        [
          { ...GATEWAY, interfaceName: "eth0", mac: OTHER },
          { ...GATEWAY, mac: HOME },
        ],
      ),
      ["192.168.1.2"],
      [`gateway:${HOME}`],
    ],
  ];
  for (const [name, now, hosts, marks] of rows) {
    test(name, () => assert.deepEqual(networkIdsOf(now, hosts), marks));
  }
});

function start() {
  const clock = createManualClock();
  const world = {
    gateways: [GATEWAY],
    mac: HOME as string | null,
    links: { ...WLAN },
    reads: 0,
    slow: null as Promise<void> | null,
  };
  const asked: string[] = [];
  const place = createNetworkLocation({
    clock,
    links: {
      gateways: async () => {
        world.reads += 1;
        await world.slow;
        return world.gateways;
      },
      neighbours: async () => (world.mac === null ? [] : [{ ...GATEWAY, mac: world.mac }]),
    },
    interfaces: (nowMs) => snapshotOf(world.links, nowMs),
    query: (gateway) => void asked.push(gateway),
  });
  const away = () => place.offNetworkReason([`gateway:${HOME}`], ["192.168.1.2"], clock.monotonicMs());
  return { clock, world, asked, place, away };
}

test("A10 without only_on nothing is read", async () => {
  const { place, world } = start();
  assert.equal(await place.offNetworkReason([], ["192.168.1.2"], 0), null);
  assert.equal(world.reads, 0);
});

test("A10 a gateway that no longer answers counts as the same until the network changes", async () => {
  const { clock, world, place, away } = start();
  assert.equal(await away(), null);
  world.mac = null;
  await clock.advance(60_000);
  assert.equal(await away(), null);
  place.networkChanged();
  const now = away();
  await clock.advance(1_100);
  assert.match((await now) ?? "", /address unknown/);
});

test("A10 a gateway read before the network changed, and known only after it, does not belong to the new network", async () => {
  const { clock, world, place, away } = start();
  const slow = Promise.withResolvers<void>();
  world.slow = slow.promise;
  const before = away();
  place.networkChanged();
  slow.resolve();
  await before;
  world.mac = null;
  const now = away();
  await clock.advance(1_100);
  assert.match((await now) ?? "", /address unknown/);
});

test("A10 a gateway is queried for its address, and one that answers within a second of the change is recognized by it", async () => {
  const { clock, world, asked, place, away } = start();
  world.mac = null;
  await clock.advance(60_000);
  place.networkChanged();
  const now = away();
  await clock.advance(200);
  world.mac = HOME;
  await clock.advance(100);
  assert.equal(await now, null);
  assert.equal(asked[0], GATEWAY.address);
});

test("A10 a gateway with the NAS's address is not queried: that would be a packet to the NAS", async () => {
  const { clock, world, asked, place } = start();
  world.mac = null;
  const now = place.offNetworkReason([`gateway:${HOME}`], [GATEWAY.address], clock.monotonicMs());
  await clock.advance(1_100);
  assert.notEqual(await now, null);
  assert.deepEqual(asked, []);
});

test("A10 a network with another known gateway is off network at once", async () => {
  const { world, place, away } = start();
  world.mac = OTHER;
  place.networkChanged();
  assert.match((await away()) ?? "", /is not in its only_on list/);
});

test("A10 a link that is up before it has a route is given a second for its gateway", async () => {
  const { clock, world, away } = start();
  world.gateways = [];
  const now = away();
  await clock.advance(200);
  world.gateways = [GATEWAY];
  await clock.advance(100);
  assert.equal(await now, null);
});

test("the hardware address of a neighbour is kept for ten minutes, and an unknown one is looked up again after ten seconds", async () => {
  const { clock, world, place } = start();
  const found: (string | null)[] = [];
  for (const mac of [null, HOME.toUpperCase(), OTHER]) {
    world.mac = mac;
    found.push(await place.macOf(GATEWAY.address));
    await clock.advance(10_001);
  }
  await clock.advance(600_000);
  assert.deepEqual([...found, await place.macOf(GATEWAY.address)], [null, HOME, HOME, OTHER]);
});

test("A10 off network for a simulated hour: checks are shared, and a reading serves ten seconds", async () => {
  const { clock, world, away } = start();
  world.mac = OTHER;
  for (let second = 0; second < 3600; second += 2) {
    const all = [away(), away(), away()];
    await clock.advance(2_000);
    for (const text of await Promise.all(all)) assert.notEqual(text, null);
  }
  assert.ok(world.reads <= 361, `${world.reads} readings`);
});

test("gateways and hardware addresses are read, on Linux and on macOS", () => {
  const route = [
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
    "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0",
    "tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0",
    "wlan0\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0",
  ];
  assert.deepEqual(parseProcRoute(route.join("\n")), [GATEWAY]);
  const arp = `IP address HW type Flags HW address Mask Device\n192.168.1.1 0x1 0x2 ${HOME} * wlan0\n`;
  assert.deepEqual(parseProcArp(arp), [{ ...GATEWAY, mac: HOME }]);
  const table = "Destination Gateway Flags Netif\ndefault            192.168.1.1        UGScg    wlan0\n";
  assert.deepEqual(parseRoutes(`${table}default            link#12            UCSIg    bridge0\n`), [
    GATEWAY,
  ]);
  assert.deepEqual(parseArp("? (192.168.1.1) at aa:bb:cc:dd:ee:1 on wlan0 ifscope [ethernet]\n"), [
    { ...GATEWAY, mac: HOME },
  ]);
});
