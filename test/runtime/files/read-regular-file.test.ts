// Files of the home that are read at a start, whatever stands in their place.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { readRegularFile } from "../../../src/runtime/files/durable-file.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("a plain file within the size limit is read, a missing one is null, and anything else is refused", async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeFile(at("file"), "12345");
  await symlink(at("file"), at("link"));
  execFileSync("mkfifo", [at("pipe")]);
  assert.equal(await readRegularFile(at("file"), 5), "12345");
  assert.equal(await readRegularFile(at("gone"), 5), null);
  await assert.rejects(readRegularFile(at("file"), 4), { message: "it has 5 bytes" });
  for (const other of [folder, at("link"), at("pipe")])
    await assert.rejects(readRegularFile(other, 1_000_000), { message: "it is not a regular file" });
});
