import assert from "node:assert/strict";
import { readFile, readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { sha256Of } from "../../src/runtime/files/sha256.ts";
import { eventually } from "../support/eventually.ts";
import { programMissing, runProgram, saveWithVim } from "../sync/programs.ts";
import { liveHome, QUICK_SYNC, renameOver } from "./live-home.ts";

type Save = (path: string, before: string, after: string) => Promise<void>;

const EDITORS: readonly [name: string, programs: readonly string[], save: Save][] = [
  // In one go: emptied first, the file would be read empty by whoever looks on a busy machine.
  ["written in place", [], (path, _, after) => writeFile(path, after, { flag: "r+" })],
  ["renamed over", [], (path, _, after) => renameOver(path, after)],
  [
    "by vim, line by line",
    ["vim"],
    async (path, before, after) => {
      const added = after.slice(before.length).trimEnd().split("\n").toReversed();
      assert.ok(after.startsWith(before));
      // Its sections may stand in any order, so they are put at the top, the last line first.
      await saveWithVim(path, [...added].toReversed().join("\r"), "auto");
    },
  ],
  [
    "by sed -i",
    ["sed"],
    async (path, before, after) => {
      const added = after.slice(before.length).trimEnd().replaceAll("\n", "\\n");
      await runProgram("sed", "-i", `$a\\${added}`, path);
    },
  ],
];

for (const [name, programs, save] of EDITORS) {
  test(`A6 B1 a share added to the file, ${name}, is mounted without a restart, and no other is touched`, async (t) => {
    const missing = await programMissing(...programs);
    if (missing !== null) return t.skip(missing);
    const home = await liveHome(t);
    const before = await home.text(["CORE"]);
    await home.writeConfig(before);
    const monitor = await home.start();
    const [core] = await home.untilMounted("CORE");
    await save(home.configFile, before, await home.text(["CORE", "MEDIA"]));
    await eventually(async () => (await home.glance())?.shares.length === 2);
    await home.untilMounted("MEDIA");
    const report = await home.glance();
    assert.equal(report?.global.pid, monitor.pid);
    const after = report?.shares.find((share) => share.name === "CORE");
    assert.deepEqual(
      [after?.last_switch_at, after?.tb_reachable_since, after?.tb_healthy_since],
      [core?.last_switch_at, core?.tb_reachable_since, core?.tb_healthy_since],
    );
    assert.equal((await home.logged("share.unmounted")).length, 0);
    const applied = await eventually(async () => {
      const lines = await home.logged("config.applied");
      return lines.length > 0 && lines;
    });
    assert.deepEqual(
      applied.map((line) => [line["generation"], line["summary"], line["source"]]),
      [[2, "1 share reloaded", "file"]],
    );
  });
}

test("A6 a share removed from the file stays mounted, is managed no more, and the log says so", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE", "MEDIA"]));
  await home.start();
  await home.untilMounted("CORE", "MEDIA");
  await home.writeConfig(await home.text(["CORE"]));
  const [line] = await eventually(async () => {
    const lines = await home.logged("share.unmanaged");
    return lines.length > 0 ? lines : null;
  });
  assert.deepEqual([line?.["share"], line?.["left_mounted_over"]], ["MEDIA", "tb"]);
  assert.deepEqual(
    (await home.glance())?.shares.map((share) => share.name),
    ["CORE"],
  );
  assert.equal(await readlink(join(home.home, "volumes", "MEDIA")), join(home.folder, "MEDIA-tb"));
  const unknown = await home.cli(["unmount", "--share", "MEDIA"]);
  assert.equal(unknown.code, 2, unknown.stderr);
  await eventually(async () => !JSON.stringify(await home.state()).includes("MEDIA"));
});

test("B1 twenty saves within the debounce are one reload, and the last of them runs", async (t) => {
  const debounceMs = 800;
  const home = await liveHome(t);
  const sync = `poll_interval = 0.1\ndebounce = ${debounceMs / 1000}`;
  await home.writeConfig(await home.text(["CORE"], { sync }));
  await home.start();
  await home.untilMounted("CORE");
  let value = 800;
  const save = async (): Promise<void> => {
    value += 1;
    await home.writeConfig(await home.text(["CORE"], { sync, global: `connect_timeout_ms = ${value}` }));
  };
  let before = await home.sync();
  for (;;) {
    const startedAt = performance.now();
    for (let saves = 0; saves < 20; saves += 1) {
      await save();
      await pause(10);
    }
    // From the first of them the daemon waits at least so long: before that, the last one is there.
    if (performance.now() - startedAt < debounceMs) break;
    // A machine too busy to save so often in so short a time says nothing about the debounce.
    const bytes = await readFile(home.configFile);
    before = await home.untilSync(
      ({ sha256, events, generation }) => sha256 === sha256Of(bytes) && events.length === generation - 1,
    );
  }
  const { events, generation } = await home.untilSync(
    (report) => report.events.length > before.events.length,
  );
  assert.equal(generation, before.generation + 1);
  assert.deepEqual(
    events.slice(before.events.length).map(({ type, details }) => [type, details]),
    [["changed", "settings reloaded"]],
  );
  await eventually(async () => (await home.logged("config.applied")).length === generation - 1);
  const { stdout } = await home.cli(["config", "get", "global.connect_timeout_ms"]);
  assert.equal(stdout.trim(), String(value));
});

test("A6 the interval and the toggles hold at once", async (t) => {
  const home = await liveHome(t, { env: { MOUNTAINEER_LOG: "debug" } });
  const slow = (await home.text(["CORE"])).replace("check_interval_secs = 0.3", "check_interval_secs = 3600");
  await home.writeConfig(slow);
  await home.start();
  await home.untilMounted("CORE");
  const toggles = "auto_failback = true\nlsof_recheck = false";
  await home.writeConfig((await home.text(["CORE"], { global: toggles })).replace("= 0.3", "= 0.1"));
  const { global } = await eventually(async () => {
    const report = await home.glance();
    return report?.global.check_interval_secs === 0.1 ? report : null;
  });
  assert.deepEqual([global.auto_failback, global.lsof_recheck], [true, false]);
  await eventually(async () => {
    const cycles = await home.logged("cycle");
    return cycles.filter((line) => String(line["trigger"]).includes("tick")).length >= 5;
  });
});

test("B5 a change of the section `sync` reconfigures the running watcher", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"]));
  await home.start();
  const hashed = 'detection = "hash"\npoll_interval = 0.2\ndebounce = 0.05\non_failure = "fixed"';
  await home.writeConfig(await home.text(["CORE"], { sync: hashed }));
  const { settings } = await home.untilSync((report) => report.generation === 2);
  assert.deepEqual(settings, {
    enabled: true,
    poll_interval: 0.2,
    debounce: 0.05,
    detection: "hash",
    on_failure: "fixed",
  });
  const events = 'detection = "inotify"\npoll_interval = 3600\ndebounce = 0.05';
  await home.writeConfig(await home.text(["CORE"], { sync: events }));
  await home.untilSync((report) => report.generation === 3);
  // Nobody polls any more: only the system's event can tell of this one.
  await renameOver(home.configFile, await home.text(["CORE", "MEDIA"], { sync: events }));
  await home.untilSync((report) => report.generation === 4);
  await home.untilMounted("MEDIA");
});

test("B10 `enabled = false` ends the watching; a command, a SIGHUP and an edit by the daemon apply all the same", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"]));
  const monitor = await home.start();
  const off = `enabled = false\n${QUICK_SYNC}`;
  await home.writeConfig(await home.text(["CORE"], { sync: off }));
  await home.untilSync((report) => report.watching === "off");
  await home.writeConfig(await home.text(["CORE"], { sync: off, global: "connect_timeout_ms = 801" }));
  const reload = await home.cli(["reload", "--json"]);
  assert.equal(reload.code, 0, reload.stderr);
  assert.deepEqual(JSON.parse(reload.stdout).settings, ["global.connect_timeout_ms"]);
  await home.writeConfig(await home.text(["CORE"], { sync: off, global: "connect_timeout_ms = 802" }));
  monitor.signal("SIGHUP");
  await home.untilSync((report) => report.generation === 4);
  const set = await home.cli(["config", "set", "sync.enabled", "on"]);
  assert.equal(set.code, 0, set.stderr);
  const { watching, generation } = await home.sync();
  assert.deepEqual([watching, generation], ["live", 5]);
  assert.match(await readFile(home.configFile, "utf8"), /^enabled = true$/m);
});

test("B3 a file that is deleted changes nothing and is named; created again, it is read", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"]));
  await home.start();
  await home.untilMounted("CORE");
  await rm(home.configFile);
  await eventually(() => home.condition("config_missing"));
  assert.equal((await home.sync()).generation, 1);
  await home.writeConfig(await home.text(["CORE", "MEDIA"]));
  await home.untilSync((report) => report.generation === 2);
  await home.untilMounted("MEDIA");
  assert.equal(await home.condition("config_missing"), null);
});
