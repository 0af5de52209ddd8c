// Thunderbolt comes back: the table of the two toggles with real processes that hold real files, rollback, and
// what a person has said.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import { type Holder, holdOpen } from "./holders.ts";
import { playScene, type Scene, type SceneOptions, serverName, useRig } from "./scene.ts";

const QUICK = { check_interval_secs: 0.5, auto_failback_stable_secs: 2 } as const;

interface Row {
  readonly title: string;
  readonly autoFailback: boolean;
  readonly recheck: boolean;
  /** How the holder of this row's second share holds its file. */
  readonly how: (scene: Scene, share: string) => Promise<Holder>;
}

const ROWS: readonly Row[] = [
  {
    title: "a",
    autoFailback: true,
    recheck: true,
    how: (s, share) => holdOpen.mmap(s.at(share, "held.txt")),
  },
  { title: "b", autoFailback: true, recheck: false, how: (s, share) => holdOpen.fd(s.at(share, "held.txt")) },
  { title: "c", autoFailback: false, recheck: true, how: (s, share) => holdOpen.cwd(s.at(share)) },
  {
    title: "d",
    autoFailback: false,
    recheck: false,
    how: (s, share) => holdOpen.fd(s.at(share, "held.txt")),
  },
];

describe("recovery", { skip: missingForRootRig() ?? false }, () => {
  const lab = useRig(["CORE", ...ROWS.flatMap(({ title }) => [`${title}-quiet`, `${title}-open`])]);
  const play = (options: SceneOptions, story: (scene: Scene) => Promise<void>): Promise<void> =>
    playScene(lab.rig, options, story);

  test("Recovery: the four rows of the table, each with nothing open and with a file that is open, mapped or a working directory", () =>
    playRows(play, ROWS, [], async (scenes) => {
      const restore = await lab.rig.cut.ownLinkDown();
      await Promise.all(scenes.map((scene) => scene.start("fallback")));
      const holders = await Promise.all(
        scenes.map(async (scene, index) => {
          const row = ROWS[index];
          assert.ok(row !== undefined);
          await writeFile(scene.exported(`${row.title}-open`, "held.txt"), "x".repeat(5000));
          await eventually(() => scene.read(`${row.title}-open`, "held.txt"));
          return row.how(scene, `${row.title}-open`);
        }),
      );
      try {
        await restore();
        const [a, b, c, d] = scenes;
        assert.ok(a && b && c && d);
        const pending = async (scene: Scene, share: string): Promise<void> => {
          const ready = await scene.home.untilShare(share, (each) => each.tb_recovery_pending, 15_000);
          assert.equal(ready.active_interface, "fallback");
          assert.ok(ready.conditions.some(({ code }) => code === "tb_ready"));
        };
        await Promise.all([
          a.untilOver("a-quiet", "tb"),
          b.untilOver("b-quiet", "tb"),
          c.untilOver("c-quiet", "tb"),
        ]);
        for (const [index, scene] of scenes.entries()) await pending(scene, `${ROWS[index]?.title}-open`);
        await pending(d, "d-quiet");
        assert.equal((await a.logged("share.tb_ready", "a-quiet")).length, 0, "it switches silently");
        assert.equal((await b.logged("share.tb_ready", "b-quiet")).length, 0, "it switches silently");
        await c.untilLogged("share.tb_ready", "c-quiet");
        assert.equal((await c.logged("share.tb_ready", "c-quiet")).length, 1, "the next re-check switches");
        const { conditions } = await a.home.shareStatus("a-open");
        const named = conditions.find(({ code }) => code === "tb_ready")?.holders?.[0];
        assert.equal(named?.pid, holders[0]?.pid, "the condition names who holds files");

        await Promise.all(holders.map((holder) => holder.release()));
        await Promise.all([a.untilOver("a-open", "tb"), c.untilOver("c-open", "tb")]);
        await moreCycles(b, "b-open", 3);
        await moreCycles(d, "d-open", 3);
        for (const [scene, share] of [
          [b, "b-open"],
          [d, "d-open"],
          [d, "d-quiet"],
        ] as const) {
          const still = await scene.home.shareStatus(share);
          assert.ok(still.tb_recovery_pending && still.active_interface === "fallback", `${share} waits`);
        }
        const asked = await d.home.cli(["switch", "--share", "d-open", "--to", "tb"]);
        assert.equal(asked.code, 0, asked.stderr);
        await d.untilOver("d-open", "tb", 1000);
        // What waits for a person is over when Thunderbolt drops.
        await lab.rig.cut.ownLinkDown();
        await d.home.untilShare("d-quiet", (share) => !share.tb_recovery_pending, 5000);
        await b.home.untilShare("b-open", (share) => !share.tb_recovery_pending, 5000);
      } finally {
        await Promise.all(holders.map((holder) => holder.release()));
      }
    }));

  test("Recovery: Thunderbolt answers and does not mount: back over fallback, which gives the reason; it is tried again", () =>
    play({ settings: { ...QUICK, auto_failback: true } }, async (scene) => {
      const config = path.join(scene.rig.folder, "smbd-tb", "smb.conf");
      const whole = await readFile(config, "utf8");
      await scene.rig.killServerOn("tb");
      await scene.start("fallback");
      const core = `[${serverName("CORE")}]`;
      await writeFile(config, whole.replace(core, "[elsewhere]"));
      scene.defer(() => writeFile(config, whole));
      await scene.rig.startServerOn("tb");
      const failed = await scene.home.untilShare(
        "CORE",
        ({ conditions, active_interface }) =>
          active_interface === "fallback" && conditions.some(({ code }) => code === "recovery_failed"),
        20_000,
      );
      assert.equal(failed.mount_state, "mounted");
      assert.equal(failed.last_error, null);
      const why = failed.conditions.find(({ code }) => code === "recovery_failed");
      assert.match(why?.title ?? "", /10\.99\.1\.2.*share name cannot be found/);
      await eventually(async () => {
        const [told] = await scene.logged("share.recovery_failed");
        return told?.["to"] === "fallback";
      });
      await writeFile(config, whole);
      await scene.rig.killServerOn("tb");
      await scene.rig.startServerOn("tb");
      const back = await scene.untilOver("CORE", "tb", 30_000);
      // An empty share proves nothing of its server.
      const others = back.conditions.filter(({ code }) => code !== "share_empty");
      assert.deepEqual(others, []);
    }));

  test("By hand: a share overridden to fallback stays there over a restart, fails over all the same, and auto lets it fail back", () =>
    play(
      { settings: { ...QUICK, auto_failback: true }, env: { MOUNTAINEER_LOG: "debug" } },
      async (scene) => {
        const monitor = await scene.start("tb");
        const override = await scene.home.cli(["switch", "--share", "CORE", "--to", "fallback"]);
        assert.equal(override.code, 0, override.stderr);
        assert.equal((await scene.untilOver("CORE", "fallback")).override, "fallback");
        await monitor.stop();
        await scene.start("fallback");
        // Far beyond the window of 2 s.
        await moreCycles(scene, "CORE", 8);
        const still = await scene.home.shareStatus("CORE");
        assert.deepEqual(
          [still.active_interface, still.override, still.tb_recovery_pending],
          ["fallback", "fallback", false],
        );
        const auto = await scene.home.cli(["switch", "--share", "CORE", "--to", "auto"]);
        assert.equal(auto.code, 0, auto.stderr);
        assert.equal((await scene.untilOver("CORE", "tb")).override, null);

        await scene.home.cli(["switch", "--share", "CORE", "--to", "fallback"]);
        await scene.rig.cut.ownLinkDown("fallback");
        assert.equal(
          (await scene.untilOver("CORE", "tb")).override,
          null,
          "fallback failed, so the hold is over",
        );
      },
    ));

  test("By hand: switch refuses over open files and names them, waits on request, and cuts them off on request", () =>
    play(
      { settings: { ...QUICK, auto_failback_stable_secs: 3600 }, env: { MOUNTAINEER_LOG: "debug" } },
      async (scene) => {
        await writeFile(scene.exported("CORE", "held.txt"), "held");
        const restore = await lab.rig.cut.ownLinkDown();
        await scene.start("fallback");
        const gone = await scene.home.cli(["switch", "--share", "CORE", "--to", "tb"]);
        assert.equal(gone.code, 1);
        assert.match(gone.stdout + gone.stderr, /10\.99\.1\.2 does not answer.*nothing was changed/);
        await restore();
        await scene.home.untilShare("CORE", (share) => share.tb_reachable, 5000);
        await using holder = await holdOpen.fd(scene.at("CORE", "held.txt"));
        const busy = await scene.home.cli(["switch", "--share", "CORE", "--to", "tb"]);
        assert.equal(busy.code, 7);
        assert.match(busy.stdout + busy.stderr, new RegExp(`${holder.pid}[^]*held\\.txt`));
        assert.equal((await scene.home.shareStatus("CORE")).active_interface, "fallback");

        const waiting = scene.home.cli(["switch", "--share", "CORE", "--to", "tb", "--wait"]);
        await moreCycles(scene, "CORE", 2);
        await holder.release();
        assert.equal((await waiting).code, 0);
        await scene.untilOver("CORE", "tb", 1000);

        await using cutOff = await holdOpen.fd(scene.at("CORE", "held.txt"));
        const forced = await scene.home.cli(["switch", "--share", "CORE", "--to", "fallback", "--force"]);
        assert.equal(forced.code, 0, forced.stderr);
        assert.match(forced.stdout + forced.stderr, new RegExp(String(cutOff.pid)));
        await scene.untilOver("CORE", "fallback", 1000);
        assert.equal(await eventually(() => scene.read("CORE", "held.txt")), "held");
      },
    ));

  test("By hand: unmount refuses over open files, stays over a restart, and mount ends it", () =>
    play({ settings: QUICK }, async (scene) => {
      await writeFile(scene.exported("CORE", "held.txt"), "held");
      const monitor = await scene.start("tb");
      const holder = await holdOpen.cwd(scene.at("CORE"));
      const busy = await scene.home.cli(["unmount"]);
      await holder.release();
      assert.equal(busy.code, 7);
      await scene.write("CORE", "new.txt", "just written");
      const unmounted = await scene.home.cli(["unmount"]);
      assert.equal(unmounted.code, 0, unmounted.stdout + unmounted.stderr);
      assert.equal(await readFile(scene.exported("CORE", "new.txt"), "utf8"), "just written");
      assert.deepEqual(await scene.mounts(), []);
      await monitor.stop();
      await scene.start(null);
      const override = await scene.home.untilShare("CORE", (share) => share.tb_reachable, 5000);
      assert.deepEqual(
        [override.mount_state, override.override, override.last_error],
        ["unmounted", "unmounted", null],
      );
      assert.equal((await scene.home.cli(["verify"])).code, 0, "a person wanted it so");
      assert.equal((await scene.home.cli(["mount"])).code, 0);
      assert.equal((await scene.untilOver("CORE", "tb", 1000)).override, null);
    }));
});

/** One scene a row, all at once, each with the row's two shares. */
function playRows(
  play: (options: SceneOptions, story: (scene: Scene) => Promise<void>) => Promise<void>,
  [row, ...rest]: readonly Row[],
  scenes: readonly Scene[],
  story: (scenes: readonly Scene[]) => Promise<void>,
): Promise<void> {
  if (row === undefined) return story(scenes);
  const { title, autoFailback, recheck } = row;
  const settings = { ...QUICK, auto_failback: autoFailback, lsof_recheck: recheck };
  const shares = [`${title}-quiet`, `${title}-open`];
  return play({ shares, settings, env: { MOUNTAINEER_LOG: "debug" } }, (scene) =>
    playRows(play, rest, [...scenes, scene], story),
  );
}

/** Waits until the share has been looked at so many times more; the daemon logs cycles at level debug. */
async function moreCycles(scene: Scene, share: string, count: number): Promise<void> {
  const before = (await scene.logged("cycle", share)).length;
  await eventually(async () => (await scene.logged("cycle", share)).length >= before + count);
}
