// The configuration of a whole daemon while it runs: edited as people do, broken, mended and deleted. What the
// watcher sees and does is proved in test/sync, what a reload is in test/daemon/reload.
import assert from "node:assert/strict";
import { readlink, rm } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { eventually } from "../support/eventually.ts";
import { pluck } from "../support/pluck.ts";
import { liveHome, renameOver } from "./live-home.ts";

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
