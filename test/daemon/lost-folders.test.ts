// A disk behind a route of driver `local` that is unmounted: its bare mount point is a folder of the local disk.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { runCommand } from "../../src/runtime/process/child-process.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { ANSWERS_MS } from "../support/eventually.ts";
import { mountTmpfs } from "../support/tiny-disk.ts";
import { createServiceRig, overTb } from "./service-rig.ts";

const run = (program: string, ...args: string[]) =>
  runCommand(program, args, { clock: systemClock, deadlineMs: ANSWERS_MS });

const shareOf = (fast: string, slow: string) =>
  ["[[shares]]", 'name = "CORE"', 'driver = "local"', `thunderbolt_path = "${fast}"`]
    .concat(`fallback_path = "${slow}"`)
    .join("\n")
    .concat("\n");

test("A6 fails over when the fast folder is unmounted, and nothing is written to its bare mount point", async (t) => {
  const rig = await createServiceRig(t);
  const fast = await mountTmpfs(t, "size=64k");
  if (fast === null) return;
  const slow = join(rig.folder, "slow");
  await mkdir(slow);
  await rig.write((await rig.config([])) + shareOf(fast, slow));
  const running = await rig.start();
  const { stable_path: path } = await running.until("CORE", overTb);
  await writeFile(join(path, "before"), "on the disk");
  await run("umount", fast);
  const share = await running.until("CORE", ({ active_interface }) => active_interface === "fallback");
  await writeFile(join(share.stable_path, "after"), "on the other route");
  assert.deepEqual(await readdir(fast), [], "the bare mount point stays empty");
  assert.equal(await readFile(join(slow, "after"), "utf8"), "on the other route");
});

test("A6 unmounts a share whose two folders are unmounted, names where to mount, and recovers when one is mounted", async (t) => {
  const rig = await createServiceRig(t);
  const disk = await mountTmpfs(t, "size=64k");
  if (disk === null) return;
  const [fast, slow] = [join(disk, "fast"), join(disk, "slow")];
  for (const folder of [fast, slow]) await mkdir(folder);
  await rig.write((await rig.config([])) + shareOf(fast, slow));
  const running = await rig.start();
  const { stable_path: path } = await running.until("CORE", overTb);
  await run("umount", disk);
  // A program made them while nothing was mounted.
  for (const folder of [fast, slow]) await mkdir(folder);
  const lost = await running.until("CORE", ({ mount_state }) => mount_state === "unmounted");
  assert.equal(existsSync(path), false);
  await running.until(
    "CORE",
    ({ last_error }) => last_error?.includes(`nothing is mounted at ${disk}`) ?? false,
  );
  await assert.rejects(writeFile(join(lost.stable_path, "after"), ""), { code: "ENOENT" });
  assert.deepEqual([await readdir(fast), await readdir(slow)], [[], []]);
  await run("mount", "-t", "tmpfs", "-o", "size=64k", "mountaineer-test", disk);
  for (const folder of [fast, slow]) await mkdir(folder);
  await running.until("CORE", overTb);
});
