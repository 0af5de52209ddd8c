// Everything at once, at random: whatever happens to links, servers, mounts and the daemon, once the world is calm
// each share has one right mount, what was written is on the server, and nothing is left over.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import { pick, randomFrom } from "./random.ts";
import { playScene, probersOf, runs, type Scene, untilGone, useRig } from "./scene.ts";

const ROUNDS = Number(process.env["MOUNTAINEER_LAB_CHAOS"] ?? 3);
const EVENTS = 10;
const BETWEEN_MS = 700;
const SHARES = ["CORE", "MEDIA"] as const;

describe("chaos", { skip: missingForRootRig() ?? false, timeout: 10_000 + ROUNDS * 90_000 }, () => {
  const lab = useRig(SHARES);

  test("What to mount: after random cuts, hangs, crashes and kills each share is readable over Thunderbolt by one mount", (t) =>
    playScene(
      lab.rig,
      {
        shares: SHARES,
        settings: {
          auto_failback: true,
          auto_failback_stable_secs: 1,
          check_interval_secs: 0.5,
          mount_hang_secs: 2,
        },
      },
      async (scene) => {
        for (const share of SHARES) await writeFile(scene.exported(share, "kept.txt"), share);
        let monitor = await scene.start("tb");
        for (let round = 0; round < ROUNDS; round++) {
          const seed = Number(process.env["MOUNTAINEER_LAB_SEED"] ?? 20_261_120);
          const random = randomFrom(seed + round);
          const happened: string[] = [];
          const probers = new Set<number>();
          const thaws: (() => unknown)[] = [];
          for (let event = 0; event < EVENTS; event++) {
            const [name, act] = pick(random, eventsOf(scene, random, thaws));
            happened.push(name);
            await act();
            if (random() < 0.15) {
              for (const pid of await probersOf(monitor.pid)) probers.add(pid);
              happened.push("kill -9 of the daemon");
              await monitor.kill9();
              monitor = await scene.start(null);
            }
            await pause(random() * BETWEEN_MS);
          }
          for (const thaw of thaws) thaw();
          await lab.rig.restoreAll();
          await Promise.all([lab.rig.startServerOn("tb"), lab.rig.startServerOn("fallback")]);
          t.diagnostic(`seed ${seed + round}: ${happened.join(", ")}`);
          for (const share of SHARES) {
            // A mount that failed over and over may be waiting out its backoff; a network event ends that.
            await scene.untilOver(share, "tb", 75_000);
            assert.equal(await eventually(() => scene.read(share, "kept.txt"), 5000), share);
            await scene.server(share);
            const file = `round${round}.txt`;
            await scene.write(share, file, String(seed));
            await eventually(
              async () => (await readFile(scene.exported(share, file), "utf8")) === String(seed),
              20_000,
            );
          }
          assert.equal((await scene.mounts()).length, SHARES.length);
          for (const pid of probers) await untilGone(pid, 5000);
        }
      },
    ));
});

type Happening = readonly [name: string, act: () => unknown];

function eventsOf(scene: Scene, random: () => number, thaws: (() => unknown)[]): readonly Happening[] {
  const { rig } = scene;
  const route = random() < 0.5 ? "tb" : "fallback";
  const share = random() < 0.5 ? "CORE" : "MEDIA";
  const signal = (name: NodeJS.Signals) => async (): Promise<void> => {
    for (const pid of await scene.servers(share)) if (runs(pid)) process.kill(pid, name);
  };
  const freeze = (): void => {
    const thaw = rig.freezeServerOn(route);
    thaws.push(thaw);
  };
  return [
    [`own ${route} down`, () => rig.cut.ownLinkDown(route)],
    [`${route} cable pulled`, () => rig.cut.carrierLost(route)],
    [`${route} silent`, () => rig.cut.silence(route)],
    [`${route} rejects`, () => rig.cut.reject(route)],
    [`${route} frozen`, freeze],
    ["all links back", () => rig.restoreAll()],
    ["all links back", () => rig.restoreAll()],
    [`rclone of ${share} killed`, signal("SIGKILL")],
    [`rclone of ${share} stopped`, signal("SIGSTOP")],
    ["a switch by hand", () => scene.home.cli(["switch", "--to", "auto"], 20_000)],
  ];
}
