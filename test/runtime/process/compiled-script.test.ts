// A script of a build, and the code that V8 compiled for it in an earlier process.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { sha256Of } from "../../../src/runtime/files/sha256.ts";
import { loadScript } from "../../../src/runtime/process/compiled-script.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

interface Answers {
  answer(): number;
  /** The file's own name and address, and a part of a module and of a package that it requires. */
  own(): readonly string[];
}

const textOf = (answer: number): string =>
  `(function(exports,require,module,__filename,__dirname,__url){module.exports={answer:()=>${answer},own:()=>[__filename,__url,require("node:path").sep,require("beside").part]}})`;

let answers = 100;

/** Another script in each test: V8 finds a text that this process has compiled before. */
async function scene(t: TestContext) {
  const folder = await temporaryFolder(t);
  const path = join(folder, "program.cjs");
  const answer = ++answers;
  writeFileSync(path, textOf(answer));
  const compiled = join(folder, "compiled");
  const keptAt = join(compiled, `program.cjs-${process.version}-${process.arch}`);
  const load = (user?: number) => loadScript<Answers>(path, { user: user ?? process.geteuid?.() });
  const runs = (user?: number) => {
    const { program, keep } = load(user);
    assert.equal(program.answer(), answer);
    keep();
  };
  return { folder, path, answer, compiled, keptAt, load, runs };
}

test("a script's compiled code is kept once, for its user only, and the script finds itself, modules and packages", async (t) => {
  const { folder, path, compiled, keptAt, load, runs } = await scene(t);
  runs();
  assert.equal(statSync(compiled).mode & 0o777, 0o700);
  const { ino, mode, size } = statSync(keptAt);
  assert.equal(mode & 0o777, 0o600);
  assert.ok(size > 64);
  runs();
  assert.equal(statSync(keptAt).ino, ino, "it was used");
  mkdirSync(join(folder, "node_modules"));
  writeFileSync(join(folder, "node_modules/beside.js"), 'exports.part = "of a package";');
  assert.deepEqual(load().program.own(), [path, `file://${path}`, "/", "of a package"]);
});

function ownNode(): string {
  const { size, mtimeMs } = statSync(process.execPath);
  return `${size} ${mtimeMs}`;
}

function writeCode(file: string, script: string, compiler: string, code: Buffer): void {
  const source = `${sha256Of(readFileSync(script))} ${compiler}`;
  writeFileSync(
    file,
    Buffer.concat([Buffer.from(sha256Of(Buffer.concat([Buffer.from(source), code]))), code]),
  );
}

for (const [damage, spoil] of [
  ["a part, as a full disk leaves it", (file: string) => truncateSync(file, 200)],
  ["nothing", (file: string) => truncateSync(file, 0)],
  ["zeros", (file: string) => writeFileSync(file, Buffer.alloc(statSync(file).size))],
  [
    "what another version of V8 made",
    (file: string, path: string) => {
      writeCode(file, path, ownNode(), Buffer.from("no code of this version".repeat(20)));
    },
  ],
] as const) {
  test(`kept code that holds ${damage} is ignored and replaced`, async (t) => {
    const { path, compiled, keptAt, runs } = await scene(t);
    mkdirSync(compiled, { mode: 0o700 });
    writeFileSync(keptAt, "x".repeat(1_000), { mode: 0o600 });
    spoil(keptAt, path);
    const before = readFileSync(keptAt);
    runs();
    assert.notDeepEqual(readFileSync(keptAt), before);
    const { ino } = statSync(keptAt);
    runs();
    assert.equal(statSync(keptAt).ino, ino);
  });
}

test("a script edited to one of the same length and time runs as edited, also if the earlier one keeps its code later", async (t) => {
  const { path, answer, keptAt, load, runs } = await scene(t);
  const { atime, mtime } = statSync(path);
  const earlier = load();
  runs();
  const edited = textOf(answer + 500);
  assert.equal(edited.length, readFileSync(path, "utf8").length);
  rmSync(keptAt);
  writeFileSync(path, edited);
  utimesSync(path, atime, mtime);
  earlier.keep();
  assert.ok(existsSync(keptAt));
  assert.equal(load().program.answer(), answer + 500);
});

test("compiled code that others own or may write is neither run nor replaced", async (t) => {
  const { folder, keptAt, compiled, runs } = await scene(t);
  runs();
  const unchanged = (user?: number): void => {
    const { ino, size } = statSync(keptAt);
    runs(user);
    assert.deepEqual([statSync(keptAt).ino, statSync(keptAt).size], [ino, size]);
  };
  unchanged((process.geteuid?.() ?? 0) + 1);
  chmodSync(compiled, 0o770);
  truncateSync(keptAt, 100);
  unchanged();
  chmodSync(compiled, 0o700);
  // A file that others may write is replaced, as only its user may do that.
  chmodSync(keptAt, 0o666);
  runs();
  assert.equal(statSync(keptAt).mode & 0o777, 0o600);
  const elsewhere = join(folder, "elsewhere");
  renameSync(keptAt, elsewhere);
  symlinkSync(elsewhere, keptAt);
  runs();
  assert.ok(statSync(keptAt).ino !== statSync(elsewhere).ino);
  renameSync(compiled, `${compiled}-elsewhere`);
  symlinkSync(`${compiled}-elsewhere`, compiled);
  unchanged();
});

test("in a build of another user, as for root, a script runs and no folder is made", async (t) => {
  const { compiled, runs } = await scene(t);
  runs((process.geteuid?.() ?? 0) + 1);
  assert.equal(existsSync(compiled), false);
});

test("a script runs where nothing can be kept, and leaves nothing behind", async (t) => {
  const { compiled, keptAt, runs } = await scene(t);
  writeFileSync(compiled, "a file");
  runs();
  rmSync(compiled);
  mkdirSync(join(keptAt, "in the way"), { recursive: true, mode: 0o700 });
  runs();
  assert.deepEqual(readdirSync(compiled).length, 1);
});

test("an install that was moved uses the compiled code that came along, and finds itself at its new place", async (t) => {
  const { folder, runs } = await scene(t);
  runs();
  mkdirSync(join(folder, "node_modules"));
  writeFileSync(join(folder, "node_modules/beside.js"), "");
  const moved = `${folder}-moved`;
  renameSync(folder, moved);
  t.after(() => rmSync(moved, { recursive: true }));
  const keptAt = join(moved, "compiled", `program.cjs-${process.version}-${process.arch}`);
  const { ino } = statSync(keptAt);
  const { program, keep } = loadScript<Answers>(join(moved, "program.cjs"));
  assert.equal(program.own()[0], join(moved, "program.cjs"));
  keep();
  assert.equal(statSync(keptAt).ino, ino);
});

/** Loads the script in another process, after the words of a shell, and keeps its code. */
async function keepInChild(path: string, before = ""): Promise<string> {
  const module = JSON.stringify(import.meta.resolve("../../../src/runtime/process/compiled-script.ts"));
  const code = `import { loadScript } from ${module};
const { program, keep } = loadScript(${JSON.stringify(path)});
keep();
console.log(program.answer());`;
  const line = `${before} exec "$0" --input-type=module -e "$1"`;
  const { stdout } = await promisify(execFile)("/bin/sh", ["-c", line, process.execPath, code]);
  return stdout.trim();
}

for (const [whose, node, isUsed] of [
  ["this Node", ownNode(), true],
  ["another build of the same version of Node", "1 1", false],
] as const) {
  test(`code that ${whose} compiled is ${isUsed ? "used" : "ignored and replaced"}`, async (t) => {
    const { path, keptAt, runs } = await scene(t);
    await keepInChild(path);
    writeCode(keptAt, path, node, readFileSync(keptAt).subarray(64));
    const { ino } = statSync(keptAt);
    runs();
    assert.equal(statSync(keptAt).ino === ino, isUsed);
  });
}

test("processes that keep the same code at once leave one whole file", async (t) => {
  const { path, answer, compiled, keptAt, runs } = await scene(t);
  const answered = await Promise.all(Array.from({ length: 4 }, () => keepInChild(path)));
  assert.deepEqual(answered, Array(4).fill(String(answer)));
  assert.equal(readdirSync(compiled).length, 1);
  const { ino } = statSync(keptAt);
  runs();
  assert.equal(statSync(keptAt).ino, ino, "it was used");
});

test("a script runs where its compiled code cannot be written to the end, and leaves no part of it", async (t) => {
  const { path, answer, compiled } = await scene(t);
  assert.equal(await keepInChild(path, "ulimit -f 0; trap '' XFSZ;"), String(answer));
  assert.deepEqual(readdirSync(compiled), []);
});

test("with NODE_DISABLE_COMPILE_CACHE, no compiled code is read or kept", async (t) => {
  const { compiled, runs } = await scene(t);
  process.env["NODE_DISABLE_COMPILE_CACHE"] = "1";
  try {
    runs();
  } finally {
    delete process.env["NODE_DISABLE_COMPILE_CACHE"];
  }
  assert.equal(existsSync(compiled), false);
});
