// A share with `only_on`, on a network that is not its own: nothing is sent to the NAS, programs get errors at once, and all
// is back with the network.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { missingForRootRig } from "../rig/root-rig.ts";
import { command } from "../rig/root-rig-command.ts";
import { LINKS } from "../rig/root-rig-network.ts";
import { eventually } from "../support/eventually.ts";
import { listenForPackets } from "./magic-packets.ts";
import { untilServedOver } from "./moves.ts";
import { playScene, type Scene, useRig } from "./scene.ts";

/** The nightly run takes the whole minute. */
const AWAY_MS = process.env["MOUNTAINEER_AWAY_MS"] ?? "8000";
const NAS = [LINKS.tb.far, LINKS.fallback.far];

/** Another network behind a gateway of its own, to which everything is sent; `leave` takes it away again. */
async function joinCafe({ rig, defer }: Scene) {
  const cafe = `mt-${process.pid}-cafe`;
  const [file = "", ...enter] = rig.enter;
  const inside = (...args: string[]): Promise<string> => command(file, [...enter, ...args]);
  await command("ip", ["netns", "add", cafe]);
  defer(() => command("ip", ["netns", "delete", cafe]));
  await inside("ip", "link", "add", "wlan0", "type", "veth", "peer", "name", "wlan0", "netns", cafe);
  const up = "addr add 192.168.77.1/24 dev wlan0\nlink set wlan0 up\n";
  await command("ip", ["-n", cafe, "-batch", "-"], up);
  await inside("ip", "addr", "add", "192.168.77.9/24", "dev", "wlan0");
  const links = async (state: "up" | "down"): Promise<void> => {
    for (const { name } of Object.values(LINKS)) await inside("ip", "link", "set", name, state);
  };
  defer(() => links("up"));
  const nft = (...args: string[]): Promise<string> => inside("nft", ...args);
  await nft(
    `add table inet seen; add counter inet seen nas; add chain inet seen out { type filter hook output priority -300 ; }; ` +
      `add rule inet seen out ip daddr { ${NAS.join(", ")} } counter name nas; ` +
      "add table arp seen; add counter arp seen nas; add chain arp seen out { type filter hook output priority -300 ; }; " +
      `add rule arp seen out arp operation request arp daddr ip { ${NAS.join(", ")} } counter name nas`,
  );
  return {
    /** Packets that were sent to the NAS's addresses since the last time, ARP requests for them, too. */
    async sent(): Promise<number> {
      const text = await nft("reset", "counters");
      return [...text.matchAll(/packets (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    },
    /** Connections to the NAS that this machine still has: each ends with a packet of its own. */
    async open(): Promise<string> {
      return inside("ss", "-Htn", NAS.map((address) => `dst ${address}`).join(" or "));
    },
    async enter(): Promise<void> {
      await links("down");
      await inside("ip", "link", "set", "wlan0", "up");
      await inside("ip", "route", "add", "default", "via", "192.168.77.1");
    },
    async leave(): Promise<void> {
      await inside("ip", "link", "set", "wlan0", "down");
      await links("up");
      await inside("ip", "route", "add", "default", "via", LINKS.tb.spare);
    },
  };
}

async function gatewayMark({ rig }: Scene): Promise<string> {
  const [file = "", ...enter] = rig.enterServer;
  // Else the switch, which is in the same namespace, answers for the addresses behind it, too.
  await command(file, [...enter, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore"]);
  const text = await command(file, [...enter, "ip", "-o", "link", "show", LINKS.tb.name]);
  const [, mac] = /link\/ether (\S+)/.exec(text) ?? [];
  return `gateway:${mac}`;
}

describe("off network", { skip: missingForRootRig() ?? false, timeout: 300_000 }, () => {
  const lab = useRig(["AWAY"], { oneServer: true });

  test("A10 off network by only_on: nothing is sent to the NAS, programs get errors at once, every UI shows it, and all returns with the network", (t) =>
    playScene(lab.rig, { shares: ["AWAY"], onRouteChange: "move" }, async (scene) => {
      await writeFile(scene.exported("AWAY", "kept.txt"), "kept");
      const cafe = await joinCafe(scene);
      await cafe.leave();
      await scene.home.writeConfig(`${scene.config}\nonly_on = ["${await gatewayMark(scene)}"]\n`);
      await scene.start("tb");
      await untilServedOver(scene, "AWAY", "tb");
      assert.equal(await scene.read("AWAY", "kept.txt"), "kept");
      assert.ok((await cafe.sent()) > 0, "nothing is counted");
      const mounted = await scene.mounts();

      await cafe.enter();
      await scene.home.untilShare(
        "AWAY",
        ({ moves, conditions }) =>
          moves?.phase === "away" && conditions.some(({ code }) => code === "off_network"),
        5_000,
      );
      await eventually(async () => (await cafe.open()).trim() === "", 20_000);
      t.diagnostic(`${await cafe.sent()} packets while it was found out`);
      const untilMs = performance.now() + Number(AWAY_MS);
      while (performance.now() < untilMs) {
        const atMs = performance.now();
        await assert.rejects(scene.read("AWAY", "kept.txt"));
        t.diagnostic(`a program failed after ${Math.round(performance.now() - atMs)} ms`);
        const asked = await scene.home.cli(["status"]);
        assert.match(asked.stdout, /off network/);
        await pause(500);
      }
      assert.equal((await scene.home.cli(["mount", "--share", "AWAY"])).code, 1);
      for (const asks of ["verify", "doctor"]) assert.equal((await scene.home.cli([asks])).code, 1);
      assert.equal(await cafe.sent(), 0, "packets to the NAS");

      await cafe.leave();
      const backAtMs = performance.now();
      await untilServedOver(scene, "AWAY", "tb");
      t.diagnostic(`served after ${Math.round(performance.now() - backAtMs)} ms`);
      assert.equal(await eventually(() => scene.read("AWAY", "kept.txt").catch(() => null)), "kept");
      t.diagnostic(`back after ${Math.round(performance.now() - backAtMs)} ms`);
      assert.deepEqual(await scene.mounts(), mounted, "the mount did not stay");
    }));

  test("F3 a silent NAS is woken by a program or a person who wants the share, and by nothing else", (t) =>
    playScene(
      lab.rig,
      { shares: ["AWAY"], onRouteChange: "move", settings: { outage_patience_secs: 5 } },
      async (scene) => {
        await writeFile(scene.exported("AWAY", "kept.txt"), "kept");
        await using packets = await listenForPackets(scene.rig);
        const daemon = await scene.start("tb");
        await untilServedOver(scene, "AWAY", "tb");
        const state = async (): Promise<string> => readFile(`${scene.home.home}/state.json`, "utf8");
        await eventually(async () => /[\da-f:]{17}@10\.99\.1\.2"/.test(await state()));
        const restores = await Promise.all([scene.rig.cut.silence("tb"), scene.rig.cut.silence("fallback")]);
        await scene.home.untilShare("AWAY", ({ moves }) => moves?.phase === "over", 30_000);
        await scene.rig.flap(1, 1, "fallback");
        await daemon.kill9();
        await scene.start(null);
        await scene.home.untilShare("AWAY", ({ moves }) => moves?.phase === "over", 30_000);
        // Longer than a check may take to ask for the share, and to be late.
        await pause(5_000);
        assert.equal(packets.count(), 0, "nobody wants it");
        const untilRead = eventually(() => scene.read("AWAY", "kept.txt").catch(() => null), 60_000, 500);
        await eventually(() => packets.count() > 0, 20_000);
        t.diagnostic(`${packets.count()} packets for a program`);
        for (const restore of restores) await restore();
        assert.equal(await untilRead, "kept");
        const woken = packets.count();

        await scene.home.cli(["unmount", "--force"]);
        const again = await Promise.all([scene.rig.cut.silence("tb"), scene.rig.cut.silence("fallback")]);
        await scene.home.untilShare(
          "AWAY",
          ({ tb_reachable, fb_reachable }) => !tb_reachable && !fb_reachable,
          20_000,
        );
        const asked = scene.home.cli(["wake", "--share", "AWAY"]);
        await eventually(() => packets.count() > woken, 20_000);
        for (const restore of again) await restore();
        assert.equal((await asked).code, 0);
      },
    ));
});
