import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, realpath, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { type AcceptedContent, openHistory } from "../../../src/config/history/history.ts";
import type { RealPath } from "../../../src/config/history/history-owner.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** `real/a.toml`, which is also `linked/a.toml` and, by a link of its own, `link.toml`. */
async function scene(t: TestContext) {
  const folder = await realpath(await temporaryFolder(t));
  const home = join(folder, "home");
  for (const name of ["home", "real"]) await mkdir(join(folder, name));
  await writeFile(join(folder, "real", "a.toml"), "");
  await symlink("real", join(folder, "linked"));
  await symlink("real/a.toml", join(folder, "link.toml"));
  return {
    home,
    folder,
    async record(path: string, ...texts: readonly string[]) {
      const history = openHistory(home, join(folder, path));
      for (const text of texts) await history.record(content(text));
    },
    /** Newest first. */
    async told(path: string, realPath?: RealPath) {
      const entries = await openHistory(home, join(folder, path), realPath).list();
      return entries.map(({ summary }) => summary);
    },
  };
}

function content(text: string): AcceptedContent {
  const bytes = Buffer.from(text);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const time = "2026-11-20T08:00:00.000Z";
  return { bytes, sha256, format: "toml", source: "file", summary: text, time };
}

/** As entries were written before they named the real file. */
async function forgetRealPaths(home: string): Promise<void> {
  const folder = join(home, "history");
  for (const name of await readdir(folder)) {
    const raw = await readFile(join(folder, name), "utf8");
    assert.match(raw, /,"realPath":"/);
    await writeFile(join(folder, name), raw.replace(/,"realPath":"[^"]*"/, ""));
  }
}

const SPELLINGS = ["real/a.toml", "linked/a.toml", "link.toml"];

test("a file has one history, however its path is written", async (t) => {
  const { record, told } = await scene(t);
  await record("linked/a.toml", "one");
  await record("real/a.toml", "two");
  await record("link.toml", "three");
  for (const path of SPELLINGS) assert.deepEqual(await told(path), ["three", "two", "one"], path);
  await record("real/a.toml", "three");
  assert.deepEqual(await told("link.toml"), ["three", "two", "one"], "the newest again adds nothing");
  assert.deepEqual(await told("real/other.toml"), []);
});

test("a missing or removed file also has a history", async (t) => {
  const { folder, record, told } = await scene(t);
  await record("linked/new.toml", "one");
  assert.deepEqual(await told("real/new.toml"), ["one"]);
  await writeFile(join(folder, "real", "new.toml"), "");
  assert.deepEqual(await told("real/new.toml"), ["one"]);
  await record("no/folder.toml", "two");
  assert.deepEqual(await told("no/folder.toml"), ["two"]);
});

test("entries recorded under another spelling, before the real file was recorded, are found", async (t) => {
  const { home, record, told } = await scene(t);
  await record("linked/a.toml", "one");
  await record("real/a.toml", "two");
  await record("real/b.toml", "another's");
  await forgetRealPaths(home);
  for (const path of SPELLINGS) {
    // The link of another name finds what the file itself was called.
    assert.deepEqual(await told(path), ["two", "one"], path);
  }
});

test("a symlink that is switched keeps its history, and adds its new target's", async (t) => {
  const { folder, record, told } = await scene(t);
  await record("link.toml", "of a");
  await record("real/b.toml", "of b");
  await writeFile(join(folder, "real", "b.toml"), "");
  await symlink("real/b.toml", join(folder, "next"));
  await rename(join(folder, "next"), join(folder, "link.toml"));
  assert.deepEqual(await told("link.toml"), ["of b", "of a"]);
  assert.deepEqual(await told("real/a.toml"), ["of a"]);
  assert.deepEqual(await told("real/b.toml"), ["of b"]);
});

test("a folder that is switched keeps its file's history, as releases do", async (t) => {
  const { folder, record, told } = await scene(t);
  await record("linked/a.toml", "one");
  await mkdir(join(folder, "release 2"));
  await writeFile(join(folder, "release 2", "a.toml"), "");
  await symlink("release 2", join(folder, "next"));
  await rename(join(folder, "next"), join(folder, "linked"));
  await record("linked/a.toml", "two");
  assert.deepEqual(await told("linked/a.toml"), ["two", "one"]);
  assert.deepEqual(await told("release 2/a.toml"), ["two"]);
});

test("where the real file is unknown, only the spelling counts", async (t) => {
  const { home, folder, record, told } = await scene(t);
  const never: RealPath = () => Promise.resolve(null);
  await openHistory(home, join(folder, "link.toml"), never).record(content("unknown where"));
  await openHistory(home, join(folder, "elsewhere", "link.toml"), never).record(content("of another"));
  await record("real/a.toml", "one");
  assert.deepEqual(await told("link.toml", never), ["unknown where"]);
  assert.deepEqual(await told("link.toml"), ["one", "unknown where"], "found again once it can be");
});
