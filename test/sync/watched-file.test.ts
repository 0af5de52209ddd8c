import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { readConfigBytes } from "../../src/config/read/load.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { saysMissing } from "../../src/sync/watched-file.ts";
import { createLocalFile } from "../support/local-file.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { systemError } from "./memory-file.ts";

const FOREVER = new AbortController().signal;

test("B3 no file, no folder, a file where a folder should be, a dangling link: all are missing", async (t) => {
  const root = await temporaryFolder(t);
  await writeFile(join(root, "file"), "");
  await symlink("nowhere", join(root, "dangling"));
  for (const path of ["none", "no/folder", "file/config.toml", "dangling"]) {
    const file = createLocalFile(join(root, path), readConfigBytes);
    assert.equal(await file.stat(FOREVER), null, path);
    assert.equal(await file.read(FOREVER), null, path);
  }
});

test("a file's stat follows symlinks and its bytes are whole", async (t) => {
  const root = await temporaryFolder(t);
  await writeFile(join(root, "target"), "bytes");
  await symlink("target", join(root, "config.toml"));
  const file = createLocalFile(join(root, "config.toml"), readConfigBytes);
  assert.equal((await file.stat(FOREVER))?.size, 5n);
  assert.equal(new TextDecoder().decode((await file.read(FOREVER)) ?? new Uint8Array()), "bytes");
});

test("B4 what is no file, or cannot be read, is not missing", async (t) => {
  const root = await temporaryFolder(t);
  await mkdir(join(root, "config.toml"));
  await assert.rejects(
    createLocalFile(join(root, "config.toml"), readConfigBytes).read(FOREVER),
    /not a file/,
  );
  const locked = createLocalFile(root, () => Promise.reject(systemError("EACCES")));
  await assert.rejects(locked.read(FOREVER), /EACCES/);
});

test("missing is told by the error or by what caused it", () => {
  assert.equal(saysMissing(systemError("ENOENT")), true);
  assert.equal(saysMissing(systemError("EACCES")), false);
  const wrapped = new MountaineerError("config_unreadable", "no", { cause: systemError("ENOTDIR") });
  assert.equal(saysMissing(wrapped), true);
  assert.equal(saysMissing("ENOENT"), false);
});
