// Real folders, and the system's own word of what changes in them.
import assert from "node:assert/strict";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { createFolderLists } from "../../../src/runtime/files/folder-lists.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("A1 a folder is read again only when it changed, which the system says", async (t) => {
  const folder = await temporaryFolder(t);
  const clock = createManualClock();
  const list = createFolderLists(clock.monotonicMs);
  await writeFile(join(folder, "one"), "");
  const first = list(folder);
  assert.deepEqual(await first, ["one"]);
  assert.equal(list(folder), first, "the same answer, without a question");
  await writeFile(join(folder, "two"), "");
  await eventually(async () => (await list(folder)).length === 2);
  await rm(join(folder, "one"));
  await eventually(async () => (await list(folder)).join() === "two");
  const last = list(folder);
  await clock.advance(60_000);
  assert.notEqual(list(folder), last, "now and then it is read all the same");
});

test("A1 a folder that comes, goes, or is replaced is another one", async (t) => {
  const root = await temporaryFolder(t);
  const folder = join(root, "notes");
  const list = createFolderLists(createManualClock().monotonicMs);
  await assert.rejects(list(folder), { code: "ENOENT" });
  await mkdir(folder);
  await writeFile(join(folder, "old"), "");
  assert.deepEqual(await list(folder), ["old"]);
  await rm(folder, { recursive: true });
  await eventually(() =>
    list(folder).then(
      () => false,
      (error) => error.code === "ENOENT",
    ),
  );
  const other = join(root, "other");
  await mkdir(other);
  await writeFile(join(other, "new"), "");
  await rename(other, folder);
  assert.deepEqual(await list(folder), ["new"]);
});
