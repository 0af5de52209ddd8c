// The processes of tests start the build's programs, and the sources' where the build has none of that name.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { currentBuild, isBuildFresh } from "../../scripts/current-build.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const READER = path.join(ROOT, "src/config/worker/reader-process.ts");

function besideReader(names: readonly string[], options: readonly string[]): string[] {
  const module = pathToFileURL(path.join(ROOT, "src/runtime/process/program-beside.ts")).href;
  const script = `import { programBeside } from ${JSON.stringify(module)};
const at = (name) => programBeside(${JSON.stringify(pathToFileURL(READER).href)}, name).href;
console.log(JSON.stringify(${JSON.stringify(names)}.map(at)));`;
  const arguments_ = [...options, "--input-type=module", "--eval", script];
  return JSON.parse(execFileSync(process.execPath, arguments_, { encoding: "utf8", timeout: 60_000 }));
}

test("a program is the build's where that has it, and else the one beside the source", () => {
  const build = currentBuild();
  assert.ok(build !== null, "npm run build");
  const source = (name: string): string => pathToFileURL(path.join(path.dirname(READER), `${name}.ts`)).href;
  assert.deepEqual(besideReader(["load-child"], []), [source("load-child")]);
  const preload = `--import=${path.join(ROOT, "scripts/built-programs.ts")}`;
  assert.deepEqual(besideReader(["load-child", "not-built"], [preload]), [
    pathToFileURL(path.join(build, "load-child.js")).href,
    source("not-built"),
  ]);
});

test("a build is fresh until a source is newer than it", async (t) => {
  const root = await temporaryFolder(t);
  const source = path.join(root, "src/a/b.ts");
  await mkdir(path.dirname(source), { recursive: true });
  await writeFile(source, "");
  assert.equal(await isBuildFresh(root), false, "there is none");
  const pointer = path.join(root, "dist/current");
  await mkdir(path.dirname(pointer));
  await writeFile(pointer, "0123\n");
  await utimes(source, 1_000, 1_000);
  await utimes(pointer, 1_001, 1_001);
  assert.equal(await isBuildFresh(root), true);
  assert.equal(currentBuild(root), path.join(root, "dist/0123"));
  await utimes(source, 1_002, 1_002);
  assert.equal(await isBuildFresh(root), false);
});
