import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { missingForPlainRig, startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { eventually } from "../support/eventually.ts";
import { liveHome } from "./live-home.ts";
import { mountSmb, type SmbMount } from "./smb-mount.ts";

const missing = missingForPlainRig();
const SHARE = `conf-${process.pid.toString(36)}`;

/** A daemon whose configuration of CORE lies on a mount of an SMB share; `onServer` is that file on the server's disk. */
async function startOnNas(t: TestContext, detection: string) {
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
  const sync = `detection = "${detection}"\npoll_interval = 0.3\ndebounce = 0.1`;
  const save = async (...shares: readonly string[]): Promise<void> =>
    writeFile(onServer, await home.text(shares, { sync }));
  await save("CORE");
  await home.start(["--config", join(mount.path, "config.toml")]);
  return { home, mount, save };
}

test("B2 B4 a configuration on an SMB share: `hash` sees what the server's side changes, and a hang of the mount is one error that holds up nothing", {
  skip: missing ?? false,
}, async (t) => {
  const { home, mount, save } = await startOnNas(t, "hash");
  await home.untilMounted("CORE");
  assert.equal((await home.glance())?.global.config_path, join(mount.path, "config.toml"));

  await save("CORE", "MEDIA");
  await home.untilSync((report) => report.generation === 2);
  await home.untilMounted("MEDIA");

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
  assert.deepEqual(
    events.slice(before).map(({ type }) => type),
    ["error", "error"],
  );

  await save("CORE");
  mount.goOn();
  await home.untilSync((report) => report.generation === 3 && report.last_error === null);
  assert.equal(await home.condition("config_unreadable"), null);
});

test("B2 a configuration on an SMB share under `inotify` is polled, and `status` says so", {
  skip: missing ?? false,
}, async (t) => {
  const { home, save } = await startOnNas(t, "inotify");
  const condition = await eventually(() => home.condition("sync_degraded"));
  assert.equal(condition.severity, "warning");
  await save("CORE", "MEDIA");
  await home.untilSync((report) => report.generation === 2);
});
