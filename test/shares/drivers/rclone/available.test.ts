// The check whether this machine can mount with rclone.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { whyClosed } from "../../../../src/shares/drivers/fuse.ts";
import { createRcloneCheck } from "../../../../src/shares/drivers/rclone/available.ts";
import { createObscuredPasswords } from "../../../../src/shares/drivers/rclone/password.ts";
import { eventually } from "../../../support/eventually.ts";
import { preferSystemRclone } from "../../../support/system-rclone.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const { PATH = "" } = process.env;

/** A folder, first on PATH, with a program in place of rclone. */
async function withRclone(t: TestContext, script: string): Promise<string> {
  const folder = await temporaryFolder(t);
  preferSystemRclone(t);
  for (const [name, content] of Object.entries({
    rclone: `#!/bin/sh\n${script}\n`,
    fusermount3: "#!/bin/sh\n",
  }))
    await writeFile(join(folder, name), content, { mode: 0o755 });
  t.after(() => {
    process.env["PATH"] = PATH;
  });
  process.env["PATH"] = `${folder}:${PATH}`;
  return folder;
}

const closed = { skip: (await whyClosed("/dev/fuse"))?.text ?? false };

test(
  "A1 an outdated rclone is rechecked each time, and another one on PATH is found at once",
  closed,
  async (t) => {
    const home = await withRclone(t, "echo 'rclone v1.59.0'");
    const check = createRcloneCheck(systemClock, home);
    for (let times = 0; times < 2; times++)
      assert.equal((await check.missingRequirement(0))?.text, "rclone 1.59 cannot speak SMB");
    await withRclone(t, "echo 'rclone v1.68.0'");
    assert.equal(await check.missingRequirement(0), null);
    assert.deepEqual(check.version, { major: 1, minor: 68, engine: null });
  },
);

test("A1 a password that rclone did not obscure is requested again", async (t) => {
  const home = await withRclone(t, "exit 1");
  const obscure = createObscuredPasswords(systemClock, home);
  await assert.rejects(obscure("secret"), { code: "mount_failed" });
  await writeFile(join(home, "rclone"), "#!/bin/sh\n");
  await assert.rejects(obscure("secret"), { code: "mount_failed" }, "it printed nothing");
  await writeFile(join(home, "rclone"), "#!/bin/sh\nrev\n");
  assert.equal(await obscure("secret"), "terces");
  await writeFile(join(home, "rclone"), "#!/bin/sh\nexit 1\n");
  assert.equal(await obscure("secret"), "terces", "it is known");
});

test("A1 all shares join one search for rclone, even while it hangs", closed, async (t) => {
  const marks = await temporaryFolder(t);
  const [runs, mayEnd] = [join(marks, "runs"), join(marks, "may-end")];
  const wait = `while [ ! -e '${mayEnd}' ]; do sleep 0.02; done`;
  const folder = await withRclone(t, `echo run >> '${runs}'\n${wait}\necho 'rclone v1.68.0'`);
  const check = createRcloneCheck(systemClock, folder);
  const asked = Array.from({ length: 20 }, () => check.missingRequirement());
  await eventually(() => readFile(runs, "utf8").catch(() => null));
  asked.push(check.missingRequirement(), check.missingRequirement(systemClock.monotonicMs()));
  await writeFile(mayEnd, "");
  await Promise.all(asked);
  assert.equal(await readFile(runs, "utf8"), "run\n");
});
