// The program that mounts shares: where it is found, its copies in the home, and one that is installed from a file.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, copyFile, mkdir, readdir, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { installProgram } from "../../src/mount-program/install.ts";
import {
  BUNDLED_PROGRAMS,
  createMountProgram,
  programFolder,
} from "../../src/mount-program/mount-program.ts";
import { isProgram } from "../../src/runtime/process/find-program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const SLEEP = "/bin/sleep";
const [built = ""] = BUNDLED_PROGRAMS;
const needsProgram = { skip: !(await isProgram(built)) && "mountaineer-fs is not built: npm run mount" };

test("A10 shares that are mounted at once run from one copy of the program; an older one stays while it runs", async (t) => {
  const folder = await temporaryFolder(t);
  const [home, bundled] = [join(folder, "home"), join(folder, "bundled")];
  await copyFile(SLEEP, bundled);
  const program = createMountProgram(home, bundled);
  const copies = await Promise.all([
    program.copy(),
    program.copy(),
    createMountProgram(home, bundled).copy(),
  ]);
  const [first] = copies;
  assert.ok(first != null && first.startsWith(programFolder(home)), first ?? "none");
  assert.deepEqual(copies, [first, first, first]);

  const mount = spawn(first, ["600"], { stdio: "ignore" });
  const ended = once(mount, "exit");
  t.after(() => mount.kill("SIGKILL"));
  await once(mount, "spawn");
  await appendFile(bundled, "another version");
  const second = await program.copy();
  assert.notEqual(second, first);
  assert.equal((await readdir(programFolder(home))).length, 2, "the running one is still there");
  mount.kill("SIGKILL");
  await ended;
  await appendFile(bundled, "and another");
  const third = await program.copy();
  assert.deepEqual(
    (await readdir(programFolder(home))).map((name) => join(programFolder(home), name, "mountaineer-fs")),
    [third],
  );
});

test("a person's own mountaineer-fs stays, in a folder or behind a link beside the copies", async (t) => {
  const folder = await temporaryFolder(t);
  const [home, bundled, own] = [join(folder, "home"), join(folder, "bundled"), join(folder, "own")];
  await copyFile(SLEEP, bundled);
  for (const kept of [own, join(programFolder(home), "mine")]) {
    await mkdir(kept, { recursive: true });
    await writeFile(join(kept, "mountaineer-fs"), "");
  }
  await symlink(own, join(programFolder(home), "0123456789ab"));
  await createMountProgram(home, bundled).copy();
  assert.deepEqual(await readdir(own), ["mountaineer-fs"]);
  assert.deepEqual(await readdir(join(programFolder(home), "mine")), ["mountaineer-fs"]);
});

test(
  "F1 without a program beside the build the installed one mounts; a file for another machine is refused",
  needsProgram,
  async (t) => {
    const folder = await temporaryFolder(t);
    const home = join(folder, "home");
    const program = createMountProgram(home, join(folder, "none"));
    const signal = AbortSignal.timeout(20_000);
    const script = join(folder, "script");
    await writeFile(script, '#!/bin/sh\necho \'{"version":"1","protocol":1}\'\n', { mode: 0o755 });
    await assert.rejects(installProgram(home, script, signal), /is not a program for/);
    await assert.rejects(installProgram(home, SLEEP, signal), /it is not mountaineer-fs: `version` printed/);
    assert.equal(await program.find(), null);

    const installed = await installProgram(home, built, signal);
    assert.equal(await program.find(), installed.program);
    assert.equal((await stat(installed.program)).mode & 0o777, 0o700);
    assert.notEqual(await program.copy(), installed.program, "mounts run from a copy");
  },
);
