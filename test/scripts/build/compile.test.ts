// What a build carries with it is said and licensed; what it leaves outside is known.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { compile, LEFT_OUTSIDE } from "../../../scripts/build/compile.ts";
import { currentBuild, isBuildFresh } from "../../../scripts/current-build.ts";

const ROOT = path.resolve(import.meta.dirname, "../../..");

const compiled = compile(ROOT);

test("B11 programs import nothing from node_modules but what is kept beside them", async () => {
  const { outsidePackages } = await compiled;
  assert.deepEqual(outsidePackages, [...LEFT_OUTSIDE].sort());
});

test("THIRD-PARTY-NOTICES.md has the licence of each package whose code is published, and of no other", async () => {
  const { bundledPackages } = await compiled;
  const notices = await readFile(path.join(ROOT, "THIRD-PARTY-NOTICES.md"), "utf8");
  const sections = [...notices.matchAll(/^## (.+)$/gm)].map(([, name]) => name);
  assert.deepEqual(sections, bundledPackages);
  const words = (text: string): string => text.replace(/\s+/g, " ").trim();
  for (const name of bundledPackages) {
    const licence = await licenceOf(name);
    if (licence === null) assert.deepEqual([name, await licenceNameOf(name)], ["yoga-layout", "MIT"]);
    else assert.ok(words(notices).includes(words(licence)), `the licence of ${name} is another one by now`);
  }
});

/** null: the package has no file of it. */
async function licenceOf(name: string): Promise<string | null> {
  const folder = path.join(ROOT, "node_modules", name);
  const file = (await readdir(folder)).find((entry) => /^LICENSE(\.md|\.txt)?$/i.test(entry));
  return file === undefined ? null : readFile(path.join(folder, file), "utf8");
}

async function licenceNameOf(name: string): Promise<unknown> {
  const manifest = await readFile(path.join(ROOT, "node_modules", name, "package.json"), "utf8");
  return JSON.parse(manifest).license;
}

test("programs ask for nothing by require, which an ES module does not have", async () => {
  const { files } = await compiled;
  const asking = files.filter(({ bytes }) => new TextDecoder().decode(bytes).includes('__require("'));
  assert.deepEqual(
    asking.map(({ name }) => name),
    [],
  );
});

test("a program of a single file needs no other file of the build", async () => {
  const { files } = await compiled;
  const program = files.find(({ name }) => name === "load-child.js");
  assert.ok(program);
  assert.doesNotMatch(new TextDecoder().decode(program.bytes), /(?:from|import\()\s*"\.\//);
});

test("the same sources give the same bytes", async () => {
  const { files } = await compiled;
  const bytesOf = (name: string, bytes: Uint8Array) => [name, Buffer.from(bytes).toString("base64")];
  const build = currentBuild();
  // What `npm run build` has made of them serves for the comparison: another run would take seconds.
  const others =
    build !== null && (await isBuildFresh())
      ? files.map(async ({ name }) => bytesOf(name, await readFile(path.join(build, name))))
      : (await compile(ROOT)).files.map(({ name, bytes }) => bytesOf(name, bytes));
  assert.deepEqual(
    files.map(({ name, bytes }) => bytesOf(name, bytes)),
    await Promise.all(others),
  );
});
