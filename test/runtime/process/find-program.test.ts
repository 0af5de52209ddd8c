import assert from "node:assert/strict";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { it, type TestContext } from "node:test";
import { findProgram, isProgram } from "../../../src/runtime/process/find-program.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** Two folders, `a` and `b`. */
async function twoFolders(t: TestContext) {
  const folder = await temporaryFolder(t);
  const [a, b] = [join(folder, "a"), join(folder, "b")];
  await mkdir(a);
  await mkdir(b);
  return { folder, a, b };
}

async function makeProgram(path: string): Promise<void> {
  await writeFile(path, "#!/bin/sh\n");
  await chmod(path, 0o755);
}

it("finds the first that has the name", async (t) => {
  const { a, b } = await twoFolders(t);
  await makeProgram(join(b, "tool"));
  assert.equal(await findProgram("tool", [a, b]), join(b, "tool"));
  await makeProgram(join(a, "tool"));
  assert.equal(await findProgram("tool", [a, b]), join(a, "tool"));
  assert.equal(await findProgram("tool", [b, a]), join(b, "tool"));
  assert.equal(await findProgram("other", [a, b]), null);
});

it("passes over folders, and files that may not be executed", async (t) => {
  const { a, b } = await twoFolders(t);
  await mkdir(join(a, "folder"));
  await writeFile(join(a, "text"), "");
  for (const name of ["folder", "text"]) {
    await makeProgram(join(b, name));
    assert.equal(await findProgram(name, [a, b]), join(b, name));
  }
});

it("passes over folders that are none, and never looks where the process happens to stand", async (t) => {
  const { folder, a } = await twoFolders(t);
  await makeProgram(join(a, "tool"));
  assert.equal(await findProgram("tool", ["", join(folder, "none"), join(a, "tool")]), null);
  assert.equal(await findProgram(join(a, "tool"), [""]), null);
});

it("follows links to a program, and to nowhere", async (t) => {
  const { a, b } = await twoFolders(t);
  await makeProgram(join(b, "tool"));
  await symlink(join(b, "tool"), join(a, "alias"));
  await symlink(join(b, "none"), join(a, "broken"));
  assert.equal(await isProgram(join(a, "alias")), true);
  assert.equal(await isProgram(join(a, "broken")), false);
});
