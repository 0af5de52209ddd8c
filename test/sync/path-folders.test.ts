import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import test from "node:test";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { findPathFolders } from "../../src/sync/path-folders.ts";
import { saysMissing } from "../../src/sync/watched-file.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { systemError } from "./memory-file.ts";

const everywhere = (): boolean => true;

async function foldersOf(path: string): Promise<Record<string, string[]>> {
  const { folders } = await findPathFolders(path, everywhere);
  return Object.fromEntries([...folders].map(([folder, names]) => [folder, [...names].sort()]));
}

test("a plain file: its folder, and that folder's parent", async (t) => {
  const root = await temporaryFolder(t);
  await mkdir(join(root, "app"));
  await writeFile(join(root, "app", "config.toml"), "");
  assert.deepEqual(await foldersOf(join(root, "app", "config.toml")), {
    [join(root, "app")]: ["config.toml"],
    [root]: ["app"],
  });
});

test("each symlink on the way: the folder that holds it, by the names that matter", async (t) => {
  const root = await temporaryFolder(t);
  await mkdir(join(root, "etc", "..v1"), { recursive: true });
  await writeFile(join(root, "etc", "..v1", "config.toml"), "");
  await symlink("..v1", join(root, "etc", "..data"));
  await symlink("./..data/../..data//config.toml", join(root, "etc", "config.toml"));
  assert.deepEqual(await foldersOf(join(root, "etc", "config.toml")), {
    [join(root, "etc")]: ["..data", "..v1", "config.toml"],
    [join(root, "etc", "..v1")]: ["config.toml"],
    [root]: ["etc"],
  });
});

test("a name that is missing: the folder in which it would appear", async (t) => {
  const root = await temporaryFolder(t);
  assert.deepEqual(await foldersOf(join(root, "not", "yet", "config.toml")), {
    [root]: ["not"],
    [dirname(root)]: [basename(root)],
  });
});

test("missing is told by the error or by what caused it", () => {
  assert.equal(saysMissing(systemError("ENOENT")), true);
  assert.equal(saysMissing(systemError("EACCES")), false);
  const wrapped = new MountaineerError("config_unreadable", "no", { cause: systemError("ENOTDIR") });
  assert.equal(saysMissing(wrapped), true);
  assert.equal(saysMissing("ENOENT"), false);
});
