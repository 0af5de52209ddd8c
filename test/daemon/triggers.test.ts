import { mkdir, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import test from "node:test";
import { rcloneFiles } from "../../src/shares/drivers/rclone/files.ts";
import { eventually } from "../support/eventually.ts";
import { createServiceRig } from "./service-rig.ts";

test("the beat looks after rclone's logs, also of a share that is configured no more", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE"]));
  const { log } = rcloneFiles(rig.home, "REMOVED");
  await mkdir(dirname(log), { recursive: true });
  await writeFile(log, "2026/11/20 08:00:00 ERROR : IO error: read: i/o timeout\n".repeat(40_000));
  await rig.start();
  await eventually(async () => (await stat(log)).size < 1024 * 1024);
});
