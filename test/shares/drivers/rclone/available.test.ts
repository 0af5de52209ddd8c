// The check whether this machine can mount with rclone.
import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { createRcloneCheck } from "../../../../src/shares/drivers/rclone/available.ts";
import { eventually } from "../../../support/eventually.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

test("A1 all shares join one look for rclone, also while it hangs", async (t) => {
  const folder = await temporaryFolder(t);
  const [runs, mayEnd] = [join(folder, "runs"), join(folder, "may-end")];
  const wait = `while [ ! -e '${mayEnd}' ]; do sleep 0.02; done`;
  const programs = {
    rclone: `#!/bin/sh\necho run >> '${runs}'\n${wait}\necho 'rclone v1.68.0'\n`,
    fusermount3: "#!/bin/sh\n",
  };
  for (const [name, script] of Object.entries(programs)) {
    await writeFile(join(folder, name), script);
    await chmod(join(folder, name), 0o755);
  }
  const { PATH: before = "" } = process.env;
  t.after(() => {
    process.env["PATH"] = before;
  });
  process.env["PATH"] = `${folder}:${before}`;
  const check = createRcloneCheck(systemClock, folder);
  const asked = Array.from({ length: 20 }, () => check.lacking());
  await eventually(() => readFile(runs, "utf8").catch(() => null));
  asked.push(check.lacking(), check.lacking(systemClock.monotonicMs()));
  await writeFile(mayEnd, "");
  await Promise.all(asked);
  assert.equal(await readFile(runs, "utf8"), "run\n");
});
