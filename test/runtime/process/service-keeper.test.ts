// The script that stays a service manager's process.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

const KEEPER = path.resolve(import.meta.dirname, "../../../bin/service-keeper.sh");

test("B11 a disk without room for the keeper's pipes keeps no daemon from starting", async () => {
  const env = { PATH: process.env["PATH"], TMPDIR: "/proc/nowhere" };
  const { stdout, stderr } = await promisify(execFile)(
    "/bin/sh",
    [KEEPER, "/bin/sh", "-c", 'echo "runs $1, kept: ${MOUNTAINEER_KEEPER-no}"', "x", "a b"],
    { env },
  );
  assert.equal(stdout, "runs a b, kept: no\n");
  assert.match(stderr, /mountaineer: runs without its keeper, so it cannot hand over: no temporary folder/);
});
