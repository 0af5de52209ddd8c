// Everything at once, at random, to a carried share and one that is mounted over its route, side by side: whatever
// happens to links, servers, mounts, carrier and daemon, once the world is calm each share has one right mount, what was
// written is on the server, and nothing is left over.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { missingForRootRig } from "../rig/root-rig.ts";
import type { Route } from "../rig/root-rig-network.ts";
import { eventually } from "../support/eventually.ts";
import { carriersOf, keepersOf, killAll, signalIfRuns } from "../support/processes.ts";
import { isCarriedOver, untilCarriedOver } from "./moves.ts";
import { pick, randomFrom } from "./random.ts";
import { playScene, probersOf, type Scene, untilGone, useRig } from "./scene.ts";

const ROUNDS = Number(process.env["MOUNTAINEER_LAB_CHAOS"] ?? 3);
const SEED = Number(process.env["MOUNTAINEER_LAB_SEED"] ?? 1_000);
const EVENTS = 8;
const BETWEEN_MS = 700;
const SHARES = ["CORE", "MEDIA"] as const;
const CARRIED = "CORE";
/** A mount that failed over and over may be waiting out its backoff; a network event ends that. */
const CALMS_MS = 75_000;

describe("chaos", { skip: missingForRootRig() ?? false, timeout: 10_000 + ROUNDS * 90_000 }, () => {
  const lab = useRig(SHARES);

  test("What to mount: after random cuts, hangs, crashes and kills a carried share and one mounted per route are readable over Thunderbolt by one mount each", (t) =>
    playScene(
      lab.rig,
      {
        shares: SHARES.map((name) => ({ name, lines: [`carry = "${name === CARRIED ? "auto" : "off"}"`] })),
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
        await untilCarriedOver(scene, CARRIED, "tb");
        let serving = await scene.servers();
        for (let round = 0; round < ROUNDS; round++) {
          const random = randomFrom(SEED + round);
          const happened: string[] = [];
          const probers = new Set<number>();
          const world: World = { thaws: [], starting: [] };
          for (let event = 0; event < EVENTS; event++) {
            const [name, act] = pick(random, eventsOf(scene, random, world));
            happened.push(name);
            await act();
            if (random() < 0.1) {
              happened.push("kill -9 of the carrier");
              killAll(await carriersOf(scene.home.home));
            }
            if (random() < 0.15) {
              for (const pid of await probersOf(monitor.pid)) probers.add(pid);
              happened.push("kill -9 of the daemon");
              await monitor.kill9();
              monitor = await scene.start(null);
            }
            await pause(random() * BETWEEN_MS);
          }
          t.diagnostic(`seed ${SEED + round}: ${happened.join(", ")}`);
          const calmAt = performance.now();
          await calm(scene, world);
          await assertRight(scene, round);
          for (const pid of probers) await untilGone(pid);
          const now = await scene.servers();
          const stayed = now.filter((pid) => serving.includes(pid)).length;
          const rightMs = Math.round(performance.now() - calmAt);
          t.diagnostic(`right again after ${rightMs} ms; ${stayed} of ${now.length} mounts stayed`);
          serving = now;
        }
      },
    ));
});

/** What has to be ended before the world is calm. */
interface World {
  readonly thaws: (() => unknown)[];
  readonly starting: Promise<unknown>[];
}

async function calm(scene: Scene, { thaws, starting }: World): Promise<void> {
  for (const thaw of thaws) thaw();
  await scene.rig.restoreAll();
  await Promise.all(starting);
  await Promise.all([scene.rig.startServerOn("tb"), scene.rig.startServerOn("fallback")]);
}

async function assertRight(scene: Scene, round: number): Promise<void> {
  for (const share of SHARES) {
    const { carried } = await scene.home.untilShare(
      share,
      (each) =>
        share === CARRIED
          ? isCarriedOver(each, "tb")
          : each.active_interface === "tb" && each.mount_alive && each.last_error === null,
      CALMS_MS,
    );
    assert.equal(carried !== undefined, share === CARRIED, `${share} is carried, or is not`);
    assert.equal(await eventually(() => scene.read(share, "kept.txt")), share);
    await scene.server(share);
    await scene.write(share, `round${round}.txt`, `${SEED} ${round}`);
    for (let written = 0; written <= round; written++) {
      const file = scene.exported(share, `round${written}.txt`);
      await eventually(async () => (await readFile(file, "utf8")) === `${SEED} ${written}`);
    }
  }
  assert.equal((await scene.mounts()).length, SHARES.length);
  const { home } = scene.home;
  // What a carrier that died has left ends once its successor is up.
  await eventually(async () => (await carriersOf(home)).length === 1);
  await eventually(async () => (await keepersOf(home)).length === 1);
}

type Happening = readonly [name: string, act: () => unknown];

function eventsOf(scene: Scene, random: () => number, { thaws, starting }: World): readonly Happening[] {
  const { rig } = scene;
  const route: Route = random() < 0.5 ? "tb" : "fallback";
  const share = pick(random, SHARES);
  const signal = (name: NodeJS.Signals) => async (): Promise<void> => {
    for (const pid of await scene.servers(share)) signalIfRuns(pid, name);
  };
  const freeze = (): void => {
    const thaw = rig.freezeServerOn(route);
    thaws.push(thaw);
  };
  const restart = (routes: readonly Route[]) => async (): Promise<void> => {
    await Promise.all(routes.map((each) => rig.killServerOn(each)));
    await pause(random() * BETWEEN_MS);
    // Over a link that is cut nobody sees that it is back; the end of the round looks again.
    starting.push(...routes.map((each) => rig.startServerOn(each).catch(() => undefined)));
  };
  const restore = (): Promise<void> => rig.restoreAll();
  return [
    [`own ${route} down`, () => rig.cut.ownLinkDown(route)],
    [`${route} cable pulled`, () => rig.cut.carrierLost(route)],
    [`${route} silent`, () => rig.cut.silence(route)],
    [`${route} rejects`, () => rig.cut.reject(route)],
    [`${route} frozen`, freeze],
    ["all links back", restore],
    ["all links back", restore],
    [`the NAS restarts at ${route}`, restart([route])],
    ["the NAS restarts", restart(["tb", "fallback"])],
    [`rclone of ${share} killed`, signal("SIGKILL")],
    [`rclone of ${share} stopped`, signal("SIGSTOP")],
    ["a switch by hand", () => scene.home.cli(["switch", "--to", "auto"], 20_000)],
  ];
}
