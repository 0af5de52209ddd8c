// Uploads that the server refuses, as rclone's log tells of them.
import assert from "node:assert/strict";
import { appendFile, mkdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { describe, it } from "node:test";
import { rcloneFilesIn } from "../../../../src/shares/drivers/rclone/files.ts";
import { readRefusedUpload, readStuckFiles } from "../../../../src/shares/drivers/rclone/log.ts";
import { cutLog } from "../../../../src/shares/drivers/rclone/logs.ts";
import { createRefusedUploads } from "../../../../src/shares/drivers/rclone/refused.ts";
import { eventually } from "../../../support/eventually.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { mounted, PLAIN_NAME } from "../driver-contract.ts";
import { noSkip, startBench } from "./bench.ts";

const TRANSFER = "vfs cache: failed to transfer file from cache to remote: ";
const line = (path: string, why: string, tries = 1): string =>
  `2026/11/20 23:24:08 ERROR : ${path}: vfs cache: failed to upload try #${tries}, will retry in 2s: ${TRANSFER}${why}`;

for (const [path, why, reason] of [
  ["new: x", "failed to open: open new： x: permission denied", "permission denied"],
  ["d/old", "failed to open: open d\\old: permission denied", "permission denied"],
  [
    "big",
    "Update ReadFrom failed: write big: response error: An operation failed because the disk was full.",
    "An operation failed because the disk was full.",
  ],
  [
    "pw",
    "failed to make parent directories: couldn't connect SMB: response error: The attempted logon is invalid. This is either due to a bad username or authentication information.",
    "The attempted logon is invalid. This is either due to a bad username or authentication information.",
  ],
] as const) {
  test(`A11 a refusal in rclone's words is told in the server's: ${reason}`, () => {
    assert.deepEqual(readRefusedUpload(line(path, why)), { path, reason });
  });
}

test("A11 a route that is gone refuses nothing, and keeps no file from mounting", () => {
  for (const why of [
    "failed to make parent directories: couldn't connect SMB: dial tcp 127.0.0.1:445: connect: connection refused",
    "failed to make parent directories: mkdir : connection error: EOF",
    "Update ReadFrom failed: write x: connection error: read tcp: i/o timeout",
  ]) {
    assert.equal(readRefusedUpload(line("x", why)), null, why);
  }
  const stuck = (path: string, why: string): string =>
    `2026/11/20 23:19:37 ERROR : ${path}: vfs cache: restart download failed: failed to start downloader: ${why}`;
  const log = [
    stuck("a: b", "failed to open downloader: vfs reader: failed to open source file: invalid seek position"),
    stuck("c", "failed to open downloader: couldn't connect SMB: dial tcp: i/o timeout"),
  ].join("\n");
  assert.deepEqual(readStuckFiles(log), ["a: b"]);
});

test("A11 what a cut broke off, or was renamed meanwhile, is no refusal before the third try", () => {
  for (const why of [
    "Update SetModTime failed: chtimes d\\x.6e3d7ed3.partial: file does not exist",
    "Update SetModTime failed: SetModTime: stat: stat d\\x.8465e014.partial: file does not exist",
    "A non-close operation has been requested of a file object that has a delete pending.",
    "object not found",
  ]) {
    assert.equal(readRefusedUpload(line("d/x", why, 2)), null, why);
    assert.equal(readRefusedUpload(line("d/x", why, 3))?.path, "d/x", why);
  }
});

test("A11 a log is read on from where it was read to, also when it is cut or begun anew", async (t) => {
  const files = rcloneFilesIn(await temporaryFolder(t));
  const refused = createRefusedUploads();
  let unsent = ["a", "b"];
  let asked = 0;
  const paths = async (): Promise<readonly string[]> =>
    (
      await refused.of("CORE", files, async () => {
        asked++;
        return unsent;
      })
    ).map(({ path }) => path);
  assert.deepEqual(await paths(), [], "there is no log yet");
  const why = "response error: No room.";
  await writeFile(files.log, `${line("a", why)}\n${line("b", why).slice(0, 60)}`);
  assert.deepEqual(await paths(), ["a"], "half a line is not read");
  await appendFile(files.log, `${line("b", why).slice(60)}\n`);
  assert.deepEqual(await paths(), ["a", "b"]);
  unsent = ["b"];
  assert.deepEqual(await paths(), ["b"], "what is sent is refused no more");
  unsent = ["a", "b"];
  await appendFile(files.log, `${"x".repeat(100)}\n`.repeat(50));
  assert.deepEqual(await paths(), ["b"]);
  await cutLog(files.log, 5_400);
  assert.deepEqual(await paths(), ["b"], "what was read is not read again");
  await rm(files.log);
  await writeFile(`${files.log}.new`, `${line("a", why, 2)}\n`);
  await rename(`${files.log}.new`, files.log);
  assert.deepEqual(await paths(), ["a", "b"]);
  unsent = [];
  assert.deepEqual(await paths(), []);
  const before = asked;
  assert.deepEqual(await paths(), []);
  assert.equal(asked, before, "nothing is looked up while nothing is refused");
});

describe("an upload that a real server refuses", noSkip, () => {
  it("A11 is told with its reason, and no longer once the server takes it", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    await mounted(bench.driver, share, "tb");
    const behind = bench.behind(share, "tb");
    await writeFile(join(share.mountPath, "taken"), "precious");
    // A file cannot be where a folder is.
    await mkdir(join(behind, "taken"));
    const told = await eventually(async () => {
      const uploads = (await bench.driver.refusedUploads?.(share)) ?? [];
      return uploads.length > 0 && uploads;
    });
    t.diagnostic(told[0]?.reason ?? "");
    assert.deepEqual(
      told.map(({ path }) => path),
      ["taken"],
    );
    assert.deepEqual(
      (await bench.freshDriver().refusedUploads?.(share))?.map(({ path }) => path),
      ["taken"],
      "also after a restart",
    );
    await rmdir(join(behind, "taken"));
    await eventually(async () => (await bench.driver.refusedUploads?.(share))?.length === 0, 60_000);
  });
});
