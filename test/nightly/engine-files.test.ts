// The engine beside other clients of a real SMB server, which change its disk. Skipped where `npm run engine` has not
// built it.
import assert from "node:assert/strict";
import { access, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { systemErrorCode } from "../../src/runtime/errors.ts";
import { mounted, PLAIN_NAME } from "../shares/drivers/driver-contract.ts";
import { noSkip, startBench } from "../shares/drivers/rclone/bench.ts";
import { eventually } from "../support/eventually.ts";

const PROGRAM = join(import.meta.dirname, "../../rclone/rclone");
const skip =
  noSkip.skip ||
  (await access(PROGRAM).then(
    () => false,
    () => "npm run engine has not built it",
  ));

/** Whether a program gets a lock file of this name. */
async function locks(path: string): Promise<boolean> {
  try {
    await (await open(path, "wx")).close();
    return true;
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") throw error;
    return false;
  }
}

test("A11 of two clients that make the same lock file, one gets it", { skip }, async (t) => {
  await using bench = await startBench(t);
  const share = bench.share(PLAIN_NAME);
  const disk = bench.behind(share, "tb");
  await mounted(bench.driver, share, "tb");
  // At once, while the file waits to be sent, and after.
  for (const pauseMs of [0, 300, 900, 2_000]) {
    const [ours, theirs] = [`ours-${pauseMs}`, `theirs-${pauseMs}`];
    assert.equal(await locks(join(share.mountPath, ours)), true);
    await pause(pauseMs);
    assert.equal(await locks(join(disk, ours)), false, `${pauseMs} ms after ours`);
    assert.equal(await locks(join(disk, theirs)), true);
    await writeFile(join(disk, theirs), "theirs");
    assert.equal(await locks(join(share.mountPath, theirs)), false, `after theirs, ${pauseMs} ms later`);
    assert.equal(await readFile(join(share.mountPath, theirs), "utf8"), "theirs");
  }
  await eventually(async () => (await bench.driver.unsent(share)).length === 0);
  for (const pauseMs of [0, 300, 900, 2_000])
    assert.equal(await readFile(join(disk, `theirs-${pauseMs}`), "utf8"), "theirs");
});
