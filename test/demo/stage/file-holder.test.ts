import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { holdFile } from "../../../src/demo/stage/file-holder.ts";
import { childEnvironment } from "../../../src/runtime/process/child-process.ts";
import { isRunning, type ProcessIdentity } from "../../../src/runtime/process/process-identity.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

function options(started: ProcessIdentity[] = []): Parameters<typeof holdFile>[1] {
  return { environment: childEnvironment(), onStart: (identity) => started.push(identity) };
}

test("A7 a real process holds the file until it is closed, and is known before it has it open", async (t) => {
  const path = join(await temporaryFolder(t), "report.txt");
  await writeFile(path, "a report\n");
  const started: ProcessIdentity[] = [];
  const holder = await holdFile(path, options(started));
  const [identity] = started;
  assert.ok(identity !== undefined);
  assert.equal(identity.pid, holder.pid);
  assert.equal(await isRunning(identity), true);
  assert.equal(holder.ended, false);
  await rename(path, `${path}.moved`);
  await holder.close();
  assert.equal(holder.ended, true);
  await eventually(async () => !(await isRunning(identity)));
  await holder.close();
});

test("a file that is not there says so, and no process stays", async (t) => {
  const path = join(await temporaryFolder(t), "nothing");
  const started: ProcessIdentity[] = [];
  await assert.rejects(holdFile(path, options(started)), /tail could not open it: .*nothing.*No such file/);
  for (const identity of started) assert.equal(await isRunning(identity), false);
});
