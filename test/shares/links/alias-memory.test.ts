import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { openAliasMemory } from "../../../src/shares/links/alias-memory.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

async function scene(t: TestContext) {
  const folder = await temporaryFolder(t);
  const path = join(folder, "aliases.json");
  const logger = createRecordingLogger();
  return { folder, path, logger, open: (readOnly = false) => openAliasMemory({ path, logger, readOnly }) };
}

test("what was made is known to the next start, with every place that it led to", async (t) => {
  const { path, open } = await scene(t);
  const first = await open();
  assert.deepEqual(first.paths, []);
  await first.remember("/a", "/S/CORE/x");
  await Promise.all([first.remember("/a", "/S/CORE/y"), first.remember("/b", "/S/CORE/z")]);
  const next = await open();
  assert.deepEqual(next.paths, ["/a", "/b"]);
  assert.deepEqual([...next.targetsOf("/a")], ["/S/CORE/x", "/S/CORE/y"]);
  assert.deepEqual([...next.targetsOf("/c")], []);
  await next.forget("/a");
  await next.forget("/never there");
  assert.deepEqual((await open()).paths, ["/b"]);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test("pin: the file", async (t) => {
  const { path, open } = await scene(t);
  await (await open()).remember("/a", "/S/CORE/x");
  assert.deepEqual(JSON.parse(await readFile(path, "utf8")), {
    version: 1,
    links: [{ path: "/a", targets: ["/S/CORE/x"] }],
  });
});

test("A5 one that cannot be read is set aside, never overwritten, and nothing is ours then", async (t) => {
  for (const text of [
    "{",
    "[]",
    '{"version":2,"links":[]}',
    '{"version":1,"links":[{"path":1,"targets":[]}]}',
  ]) {
    const { path, open, logger } = await scene(t);
    await writeFile(path, text);
    assert.deepEqual((await open(true)).paths, [], text);
    assert.equal(await readFile(path, "utf8"), text, "a looker moves nothing");
    const memory = await open();
    assert.deepEqual(memory.paths, [], text);
    assert.equal(await readFile(`${path}.set-aside`, "utf8"), text);
    await memory.remember("/a", "/x");
    assert.deepEqual((await open()).paths, ["/a"]);
    assert.ok(logger.lines.some(({ level }) => level === "warn"));
  }
});

test("a pipe in its place keeps nobody from starting", async (t) => {
  const { path, open, logger } = await scene(t);
  execFileSync("mkfifo", [path]);
  assert.deepEqual((await open()).paths, []);
  assert.ok(logger.lines.some(({ fields }) => fields["reason"] === "it is no regular file"));
});

test("a folder in its place keeps nobody from starting", async (t) => {
  const { path, open } = await scene(t);
  await mkdir(path);
  const memory = await open();
  await assert.rejects(memory.remember("/a", "/x"));
  assert.deepEqual([...memory.targetsOf("/a")], [], "what could not be kept is not known");
});

test("lookers write nothing", async (t) => {
  const { folder, open } = await scene(t);
  await chmod(folder, 0o500);
  const memory = await open(true);
  await memory.remember("/a", "/x");
  await chmod(folder, 0o700);
  assert.deepEqual((await open()).paths, []);
});
