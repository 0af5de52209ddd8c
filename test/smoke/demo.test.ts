// The demo on a machine that has nothing but Node.
import assert from "node:assert/strict";
import { symlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { leftBehind, startDemo } from "../demo/demo-process.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("without samba it names the missing program, and plays on plain folders", async (t) => {
  // What the story itself needs, so that it does not end before it is told to.
  const programs = await temporaryFolder(t);
  for (const program of ["/bin/cat", "/usr/bin/tail"])
    await symlink(program, join(programs, basename(program)));
  const demo = await startDemo(t, [], { PATH: programs });
  await eventually(() => /everything is in/.test(demo.stdout()), 30_000);
  assert.match(demo.stdout(), /plain folders/);
  assert.match(demo.stdout(), /not real SMB, because: /);
  demo.child.kill("SIGTERM");
  assert.equal((await demo.ended).code, 143);
  assert.deepEqual(await leftBehind(demo.temporary), []);
});
