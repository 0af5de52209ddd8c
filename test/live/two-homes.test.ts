// Two homes of one user with one mount_root: the second leaves the first one's mounts alone, and says so.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { liveHome, SETTLES_MS } from "./live-home.ts";

test("A13 of two homes with one mount path the first manages it; the second touches nothing until that is gone", async (t) => {
  const [first, second] = [await liveHome(t), await liveHome(t)];
  const text = await first.text(["CORE"], { global: `mount_root = "${join(first.folder, "volumes")}"` });
  for (const home of [first, second]) await home.writeConfig(text);
  const monitor = await first.start();
  await first.untilMounted("CORE");
  await second.start();
  const told = await second.untilShare(
    "CORE",
    ({ conditions }) => conditions.some(({ code }) => code === "other_home"),
    SETTLES_MS,
  );
  assert.match(JSON.stringify(told.conditions), new RegExp(`managed by the daemon of ${first.home}"`));
  const unmounted = await second.cli(["unmount", "--share", "CORE", "--force"]);
  assert.notEqual(unmounted.code, 0);
  assert.match(unmounted.stdout + unmounted.stderr, /managed by the daemon of/);
  assert.equal((await first.shareStatus("CORE")).mount_state, "mounted");

  await monitor.kill9();
  await second.untilShare("CORE", ({ conditions }) => conditions.length === 0, SETTLES_MS);
  assert.equal((await second.cli(["unmount", "--share", "CORE"])).code, 0);
  await eventually(async () => (await second.shareStatus("CORE")).mount_state === "unmounted");
});
