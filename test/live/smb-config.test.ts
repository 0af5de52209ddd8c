import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { missingForPlainRig, startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { eventually } from "../support/eventually.ts";
import { pluck } from "../support/pluck.ts";
import { liveHome } from "./live-home.ts";
import { mountSmb, type SmbMount } from "./smb-mount.ts";

const missing = missingForPlainRig();
const SHARE = `conf-${process.pid.toString(36)}`;

test("B2 B4 a configuration on an SMB share: `inotify` polls there and says so, `hash` sees what the server's side changes, and a hang of the mount is one error that holds up nothing", {
  skip: missing ?? false,
}, async (t) => {
  const rig = await startPlainRig({ shares: [SHARE] });
  const nas: { mount: SmbMount | null } = { mount: null };
  const home = await liveHome(t, {
    before: async () => {
      nas.mount?.goOn();
      await nas.mount?.[Symbol.asyncDispose]();
      await rig[Symbol.asyncDispose]();
    },
  });
  const mount = await mountSmb(home.folder, rig, SHARE);
  nas.mount = mount;
  const onServer = join(rig.exportPath(SHARE), "config.toml");
  const times = "poll_interval = 0.3\ndebounce = 0.1";
  const sync = `detection = "hash"\n${times}`;
  await writeFile(onServer, await home.text(["CORE"], { sync: `detection = "inotify"\n${times}` }));
  await home.start(["--config", join(mount.path, "config.toml")]);
  await home.untilMounted("CORE");
  assert.equal((await home.glance())?.global.config_path, join(mount.path, "config.toml"));

  const degraded = await eventually(() => home.condition("sync_degraded"));
  assert.equal(degraded.severity, "warning");
  await writeFile(onServer, await home.text(["CORE", "MEDIA"], { sync }));
  await home.untilSync((report) => report.generation === 2);
  await home.untilMounted("MEDIA");
  assert.equal(await home.condition("sync_degraded"), null);

  // What the mount shows right after a write may be torn, and be told as such.
  await home.untilSync((report) => report.last_error === null);
  const before = (await home.sync()).events.length;

  await mount.hang();
  const condition = await eventually(() => home.condition("config_unreadable"));
  assert.match(condition.title, /no answer within/);
  // Several looks later it is the same error still, and everything else goes on: the mount hangs throughout.
  for (let look = 0; look < 5; look += 1) {
    const share = await home.shareStatus("CORE");
    assert.deepEqual([share.mount_alive, share.active_interface], [true, "tb"]);
    assert.notEqual(await home.condition("config_unreadable"), null);
  }
  const reload = await home.cli(["reload", "--json"]);
  assert.equal(reload.code, 1, reload.stderr);
  assert.match(JSON.parse(reload.stdout).failure, /no answer within/);
  const { events } = await home.sync();
  // One for the hang, one for whoever asked.
  assert.deepEqual(pluck(events.slice(before), "type"), ["error", "error"]);

  await writeFile(onServer, await home.text(["CORE"], { sync }));
  mount.goOn();
  await home.untilSync((report) => report.generation === 3 && report.last_error === null);
  assert.equal(await home.condition("config_unreadable"), null);
});
