// The configuration of a whole daemon while it runs: edited as people do, broken, mended, deleted, and written by a daemon
// that is killed. What the watcher sees and does is proved in test/sync, what a reload is in test/daemon/reload.
import assert from "node:assert/strict";
import { readdir, readFile, readlink, rm } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { findPlace } from "../../src/config/locate.ts";
import { loadConfig } from "../../src/config/read/load.ts";
import { sha256Of } from "../../src/runtime/files/sha256.ts";
import { randomFrom } from "../lab/random.ts";
import { eventually } from "../support/eventually.ts";
import { pluck } from "../support/pluck.ts";
import { liveHome, NEVER, QUICK_SYNC, renameOver } from "./live-home.ts";

test("A6 B4 B6 saves of the file: a share more, a mistake and its mend, other settings, a share less, no file; and no share that stays is touched", async (t) => {
  const home = await liveHome(t);
  const { configFile } = home;
  await home.writeConfig(await home.text(["CORE"]));
  const monitor = await home.start();
  const [core] = await home.untilMounted("CORE");
  const untouched = async (): Promise<void> => {
    const now = await home.shareStatus("CORE");
    const keys = ["last_switch_at", "tb_reachable_since", "tb_healthy_since", "mount_state"] as const;
    for (const key of keys) assert.equal(now[key], core?.[key], key);
  };
  const both = await home.text(["CORE", "MEDIA"]);
  await renameOver(configFile, both);
  await home.untilMounted("MEDIA");
  assert.equal((await home.glance())?.global.pid, monitor.pid);
  const applied = await eventually(async () => {
    const lines = await home.logged("config.applied");
    return lines.length > 0 && lines;
  });
  assert.deepEqual(
    applied.map((line) => [line["generation"], line["summary"], line["source"]]),
    [[2, "1 share reloaded", "file"]],
  );

  await renameOver(configFile, both.replace("check_interval_secs = 0.3", "check_interval_secs = 'soon'"));
  const condition = await eventually(() => home.condition("config_rejected"));
  assert.match(condition.title, /home\/config\.toml:3:23: global\.check_interval_secs: found .*soon/);
  assert.match(condition.hint ?? "", /mending the file applies it/);
  assert.match((await home.cli(["status"])).stdout, /config\.toml:3:23/);
  assert.equal((await home.cli(["verify"])).code, 1);
  await untouched();
  // Nobody polls any more after the mend: only the system's event can tell of what comes next.
  const sync = 'detection = "inotify"\npoll_interval = 3600\ndebounce = 0.05';
  await renameOver(configFile, await home.text(["CORE", "MEDIA"], { sync }));
  const { events, settings } = await home.untilSync(
    ({ generation, last_error }) => generation === 3 && last_error === null,
  );
  assert.deepEqual([settings.detection, settings.poll_interval], ["inotify", 3_600]);
  assert.deepEqual(pluck(events, "type", "generation"), [
    ["changed", 2],
    ["error", 2],
    ["changed", 3],
  ]);
  const errors = (await home.log()).filter(({ level }) => level === "error");
  assert.deepEqual(pluck(errors, "message"), ["config.rejected"]);
  assert.equal(await home.condition("config_rejected"), null);

  const global = "auto_failback = true";
  await renameOver(configFile, (await home.text(["CORE"], { sync, global })).replace("= 0.3", "= 0.1"));
  const [line] = await eventually(async () => {
    const lines = await home.logged("share.unmanaged");
    return lines.length > 0 ? lines : null;
  });
  assert.deepEqual([line?.["share"], line?.["left_mounted_over"]], ["MEDIA", "tb"]);
  assert.equal(await readlink(join(home.home, "volumes", "MEDIA")), join(home.folder, "MEDIA-tb"));
  assert.equal((await home.cli(["unmount", "--share", "MEDIA"])).code, 2, "it is managed no more");
  const report = await home.glance();
  assert.deepEqual([report?.global.auto_failback, report?.global.check_interval_secs], [true, 0.1]);

  await rm(configFile);
  await eventually(() => home.condition("config_missing"));
  assert.equal((await home.sync()).generation, 4);
  await home.writeConfig(both);
  await home.untilSync(({ generation }) => generation === 5);
  assert.equal(await home.condition("config_missing"), null);
  assert.deepEqual(await home.logged("share.unmounted"), []);
  await untouched();
});

test("B4 B10 under stop watching ends; `mountaineer reload` and SIGHUP apply the mended file, and the watcher runs again", async (t) => {
  const home = await liveHome(t);
  const good = await home.text(["CORE"], { sync: `${QUICK_SYNC}\non_failure = "stop"` });
  await home.writeConfig(good);
  const monitor = await home.start();
  const mends = [
    async () => {
      const { code, stderr } = await home.cli(["reload"]);
      assert.equal(code, 0, stderr);
    },
    async () => monitor.signal("SIGHUP"),
  ];
  for (const [index, mend] of mends.entries()) {
    await home.writeConfig(`${good}[[shares]]\n`);
    await home.untilSync((report) => report.watching === "stopped");
    assert.notEqual(await home.condition("sync_stopped"), null);
    assert.match((await home.condition("config_rejected"))?.hint ?? "", /mountaineer reload/);
    const broken = await home.cli(["reload"]);
    assert.equal(broken.code, 3, broken.stderr);
    assert.match(broken.stderr, /config\.toml:\d+:\d+/);
    assert.equal((await home.sync()).watching, "stopped");

    const generation = 2 + 2 * index;
    await home.writeConfig(good.replace("0.3", `0.4${index}`));
    await mend();
    await home.untilSync((report) => report.generation === generation && report.watching === "live");
    assert.equal(await home.condition("sync_stopped"), null);
    await home.writeConfig(good.replace("0.3", `0.5${index}`));
    await home.untilSync((report) => report.generation === generation + 1);
  }
});

test("B6 kill -9 of the daemon during its edits leaves the old file or the new one, whole, and nothing beside it", async (t) => {
  const seed = Number(process.env["MOUNTAINEER_SEED"] ?? 261_124);
  t.diagnostic(`seed ${seed} (MOUNTAINEER_SEED)`);
  const random = randomFrom(seed);
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"], { sync: `enabled = false\n${QUICK_SYNC}` }));
  const place = findPlace({ HOME: home.folder, MOUNTAINEER_HOME: home.home });
  let last = 800;
  for (let round = 0; round < 6; round += 1) {
    const monitor = await home.start();
    const daemon = await home.daemon();
    const first = last;
    let answered = first;
    const editing = (async () => {
      for (let value = first + 1; ; value += 1) {
        last = value;
        const edits = [{ key: "global.connect_timeout_ms", value: String(value) }];
        const { reload } = await daemon.ask("edit", { edits, source: "test" }, NEVER);
        assert.equal(reload?.reloaded, true);
        answered = value;
      }
    })().catch(() => {
      // The daemon is gone.
    });
    await eventually(() => answered > first);
    await pause(random() * 150);
    await monitor.kill9();
    await editing;
    const loaded = await loadConfig(home.configFile, place);
    assert.ok(loaded.ok, `whole and valid: ${JSON.stringify(loaded)}`);
    const found = loaded.snapshot.config.global.connectTimeoutMs;
    assert.ok(found === answered || found === last, `${found} is neither ${answered} nor ${last}`);
    last = Math.max(found, last);
  }
  await home.start();
  const { sha256 } = await home.sync();
  assert.equal(sha256, sha256Of(await readFile(home.configFile)));
  const daemon = await home.daemon();
  const { entries } = await daemon.ask("history", null, NEVER);
  assert.equal(entries[0]?.sha256, sha256, "the newest of the history is what runs");
  await daemon.ask(
    "edit",
    { edits: [{ key: "global.connect_timeout_ms", value: "999" }], source: "test" },
    NEVER,
  );
  const left = (await readdir(home.home)).filter(
    (name) => name.includes("config.toml") && name !== "config.toml",
  );
  assert.deepEqual(left, [], "no temporary file is left");
  assert.deepEqual(
    (await readdir(join(home.home, "history"))).filter((name) => !name.endsWith(".entry")),
    [],
  );
});
