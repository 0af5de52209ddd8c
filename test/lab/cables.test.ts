// Two interfaces in one network: by which of them a route's bytes go, and what status says of it.
import assert from "node:assert/strict";
import path from "node:path";
import { describe, test } from "node:test";
import type { DoctorReport } from "../../src/api/doctor-report.ts";
import { missingForRootRig } from "../rig/root-rig.ts";
import { command } from "../rig/root-rig-command.ts";
import { playScene, type Scene, type SceneShare, useRig } from "./scene.ts";

const SIZE = 16 << 20;
const NAMED = 'thunderbolt_interface = "tb0"';

describe("cables", { skip: missingForRootRig() ?? false }, () => {
  // It listens on all addresses, also those that come later.
  const settings = ["bind interfaces only = no", "interfaces = lo"];
  const lab = useRig(["CORE"], { oneServer: true, settings });
  const play = (share: Omit<SceneShare, "name">, story: (scene: Scene) => Promise<void>): Promise<void> => {
    const options = { onRouteChange: "move", settings: { auto_failback_stable_secs: 5 } } as const;
    return playScene(lab.rig, { shares: [{ name: "CORE", ...share }], ...options }, async (scene) => {
      // Where two networks were one, both ends still send to the other's interface, for up to a minute.
      for (const end of [ws, nas]) await end(scene, "neigh flush all");
      await story(scene);
    });
  };

  test("A2 with two cables of link-local addresses, a route takes the named one, and no other while it answers", () =>
    play({ thunderboltHost: "169.254.7.2", lines: [NAMED] }, async (scene) => {
      // The system would take eth1, whose address is the older one.
      await addresses(
        scene,
        { eth1: "169.254.8.1/16", tb0: "169.254.7.1/16" },
        { tb0: "169.254.7.2/16", eth1: "169.254.8.2/16" },
      );
      await scene.start("tb");
      assert.deepEqual([await busy(scene), await uncertain(scene), await wrongWays(scene)], ["tb0", [], []]);
      // The server hears nothing over that cable: the fallback is better than another cable under its name.
      const restore = await silence(scene, "iifname { tb0, tbsw }");
      await scene.shell("CORE", "echo more >> a");
      await scene.untilOver("CORE", "fallback");
      assert.equal((await scene.home.cli(["switch", "--share", "CORE", "--to", "tb"])).code, 0);
      await scene.untilOver("CORE", "tb");
      assert.equal(await busy(scene), "eth1");
      assert.match(String(await uncertain(scene)), /not leave over tb0: tb0 itself gives no answer/);
      await restore();
      await scene.rig.cut.ownLinkDown("tb");
      await scene.untilOver("CORE", "fallback");
    }));

  test("A2 with two interfaces in one LAN, the named one is not certain, and status says so; either may go", () =>
    play({ thunderboltHost: "10.99.3.2", lines: [NAMED] }, async (scene) => {
      await nas(
        scene,
        "link add lan0 type veth peer name lan1",
        "link set lan0 master tbsw",
        "link set lan1 master ethsw",
      );
      scene.defer(async () => {
        await nas(scene, "link del lan0", "neigh flush all");
        // In one LAN, an address is answered by either interface; for half a minute each end would keep the wrong one.
        await ws(scene, "neigh flush all");
      });
      await nas(scene, "link set lan0 up", "link set lan1 up");
      await addresses(scene, { eth1: "10.99.3.4/24", tb0: "10.99.3.1/24" }, { tb0: "10.99.3.2/24" });
      await scene.start("tb");
      assert.match(
        String(await uncertain(scene)),
        /not leave over tb0: eth1 has an address of the same network/,
      );
      await busy(scene);
      const restore = await scene.rig.cut.ownLinkDown("fallback");
      await scene.shell("CORE", "echo more >> a");
      assert.equal(await busy(scene), "tb0");
      await restore();
      await scene.rig.cut.ownLinkDown("tb");
      await scene.untilOver("CORE", "fallback");
    }));

  test("A2 a VPN into a network with the number of this one's is used, also where another interface is named", () =>
    play({ thunderboltHost: "10.99.2.7", lines: ['thunderbolt_interface = "eth1"'] }, async (scene) => {
      await ws(
        scene,
        `link add vpn0 type veth peer name home0 netns ${path.basename(scene.rig.enterServer[1] ?? "")}`,
      );
      scene.defer(() => ws(scene, "link del vpn0"));
      await addresses(scene, { vpn0: "10.8.0.2/32" }, { home0: "10.99.2.7/32" });
      await ws(scene, "link set vpn0 up", "route add 10.99.2.7/32 dev vpn0");
      await nas(scene, "link set home0 up");
      // The café's network does not lead to it.
      await silence(scene, "iifname { eth1, ethsw } ip daddr 10.99.2.7");
      await scene.start("tb");
      assert.match(String(await uncertain(scene)), /not leave over eth1: eth1 itself gives no answer/);
      assert.equal(await busy(scene), "vpn0");
      await ws(scene, "link set vpn0 down");
      await scene.untilOver("CORE", "fallback");
    }));
});

async function ip([file = "", ...enter]: readonly string[], ...lines: readonly string[]): Promise<string> {
  let said = "";
  for (const line of lines) said += await command(file, [...enter, "ip", ...line.split(" ")]);
  return said;
}

const ws = ({ rig }: Scene, ...lines: readonly string[]): Promise<string> => ip(rig.enter, ...lines);
const nas = ({ rig }: Scene, ...lines: readonly string[]): Promise<string> => ip(rig.enterServer, ...lines);

type Addresses = Readonly<Record<string, string>>;

/** Gives both ends addresses beside their own, in that order. */
async function addresses(scene: Scene, ours: Addresses, theirs: Addresses): Promise<void> {
  const change = (verb: string, of: Addresses): string[] =>
    Object.entries(of).map(([device, address]) => `addr ${verb} ${address} dev ${device}`);
  scene.defer(async () => {
    await ws(scene, ...change("del", ours));
    await nas(scene, ...change("del", theirs));
  });
  await ws(scene, ...change("add", ours));
  await nas(scene, ...change("add", theirs));
}

/** The server drops what matches, until it is restored. */
async function silence(scene: Scene, match: string): Promise<() => Promise<void>> {
  const [file = "", ...enter] = scene.rig.enterServer;
  const nft = (text: string): Promise<string> => command(file, [...enter, "nft", text]);
  let isThere = true;
  const restore = async (): Promise<void> => {
    if (isThere) await nft("delete table inet cable");
    isThere = false;
  };
  scene.defer(restore);
  const chain = "add chain inet cable input { type filter hook input priority 0 ; }";
  await nft(`add table inet cable; ${chain}; add rule inet cable input ${match} drop`);
  return restore;
}

/** The interface of the workstation by which a large file goes to the server. */
async function busy(scene: Scene): Promise<string> {
  const sent = async (): Promise<Map<string, number>> => {
    const text = await ip(scene.rig.enter, "-s -j link show");
    const links = JSON.parse(text) as readonly { ifname: string; stats64: { tx: { bytes: number } } }[];
    return new Map(links.map(({ ifname, stats64 }) => [ifname, stats64.tx.bytes]));
  };
  const before = await sent();
  await scene.write("CORE", "a", Buffer.alloc(SIZE, 1));
  const after = await sent();
  const names = [...after.keys()].filter(
    (name) => (after.get(name) ?? 0) - (before.get(name) ?? 0) > SIZE / 10,
  );
  return names.join(" and ");
}

/** What the doctor says of the interfaces by which routes leave. */
async function wrongWays({ home }: Scene): Promise<readonly string[]> {
  const { findings }: DoctorReport = JSON.parse((await home.cli(["doctor", "--json"])).stdout);
  const codes = findings.map(({ code }) => code);
  return codes.filter((code) => code === "route_wrong_interface" || code === "routes_share_interface");
}

async function uncertain(scene: Scene): Promise<readonly string[]> {
  const { shares } = await scene.home.status();
  return shares.flatMap(({ conditions }) =>
    conditions.flatMap(({ code, title }) => (code === "cable_uncertain" ? [title] : [])),
  );
}
