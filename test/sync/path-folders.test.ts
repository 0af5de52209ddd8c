import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import test from "node:test";
import { findPathFolders } from "../../src/sync/path-folders.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

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

test("symlinks in a circle end the walk", async (t) => {
  const root = await temporaryFolder(t);
  await symlink(join(root, "b"), join(root, "a"));
  await symlink(join(root, "a"), join(root, "b"));
  assert.deepEqual((await foldersOf(join(root, "a")))[root], ["a", "b"]);
});

test("what is not here is named and not looked at", async (t) => {
  const root = await temporaryFolder(t);
  await symlink("/nowhere/at/all", join(root, "config.toml"));
  const touched: string[] = [];
  const { folders, notHere } = await findPathFolders(join(root, "config.toml"), (path) => {
    touched.push(path);
    return path !== "/nowhere/at";
  });
  // `/nowhere` does not exist, so the walk ends before it would reach what is not here.
  assert.equal(notHere, null);
  assert.ok(touched.includes("/nowhere") && !touched.includes("/nowhere/at"));
  assert.ok(folders.get("/")?.has("nowhere"));
  assert.equal((await findPathFolders(join(root, "x"), (path) => path !== root)).notHere, root);
});
