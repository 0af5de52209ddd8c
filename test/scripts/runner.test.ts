// Every way in which a test file can end is counted once, and said.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  access,
  cp,
  glob,
  mkdir,
  mkdtemp,
  readFile,
  realpath,
  rm,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import path, { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { currentBuild, isBuildFresh } from "../../scripts/current-build.ts";
import { keptAliveBy, reportedHandles, reportOptions } from "../../scripts/kept-alive.ts";
import {
  clearLeftBehind,
  describeLeftBehind,
  findLeftBehind,
  isNothing,
  mentions,
} from "../../scripts/left-behind.ts";
import { type FileEnd, type FileOutcome, fileOutcome } from "../../scripts/test-outcome.ts";
import { type FailedFiles, failedFiles, recorded, refusal, replay } from "../../scripts/test-replay.ts";
import type { TestEvent } from "../../scripts/test-reporter.ts";
import { NAMED_FILES, startsCommands, suitesOf } from "../../scripts/test-suites.ts";
import { eventually } from "../support/eventually.ts";
import { split } from "../support/stories.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const FINISHED: TestEvent = { event: "finished" };

type Ended = Extract<TestEvent, { event: "ended" }>;

function ended(name: string, more: Partial<Ended> = {}): TestEvent[] {
  const told: Ended = {
    ...{ event: "ended", name, nesting: 0, suite: false, passed: true, skipped: null },
    ...{ durationMs: 1, line: 3, error: null, ...more },
  };
  return [{ event: "started", name, nesting: told.nesting }, told];
}

function outcome(events: readonly TestEvent[], end: Partial<FileEnd> = {}, strictSkips = false): FileOutcome {
  const well = { exitCode: 0, signal: null, timedOutAfterMs: null, keptAlive: [], filtered: false };
  return fileOutcome(events, { ...well, leftBehind: [], ...end }, strictSkips);
}

test("a file's outcome counts tests, not suites; each failure is reported once, with its line", () => {
  const { passed, failures } = outcome(
    [
      ...ended("inner", { nesting: 1 }),
      ...ended("child", { nesting: 1, passed: false, error: "Error: no" }),
      ...ended("parent", { suite: true, passed: false }),
      FINISHED,
    ],
    { exitCode: 1 },
  );
  assert.equal(passed, 1);
  assert.deepEqual(failures, ["child (line 3)\nError: no"]);
});

test("with several files in one process, it names the file of each failure, and the one that ran no test", () => {
  const file = (name: string, inner: TestEvent[], passed = true): TestEvent[] => {
    const [started, end] = ended(name, { suite: true, passed });
    return [started, ...inner, end].filter((event) => event !== undefined);
  };
  const events = [
    ...file("a.test.ts", [...ended("good", { nesting: 1 }), ...ended("later", { nesting: 1, skipped: "x" })]),
    ...file("b.test.ts", ended("bad", { nesting: 1, passed: false, error: "Error: no" }), false),
    ...file("c.test.ts", []),
    FINISHED,
  ];
  const { passed, failures, byFile } = outcome(events, { exitCode: 1 });
  assert.equal(passed, 1);
  const [bad, empty] = ["bad (b.test.ts:3)\nError: no", "c.test.ts\nthe file ran no test"];
  assert.deepEqual(failures, [bad, empty]);
  assert.deepEqual(Object.fromEntries(byFile), {
    "a.test.ts": { passed: 1, skipped: 1, seconds: 0.001, failures: [] },
    "b.test.ts": { passed: 0, skipped: 0, seconds: 0.001, failures: [bad] },
    "c.test.ts": { passed: 0, skipped: 0, seconds: 0.001, failures: [empty] },
  });
});

test("a skip is listed with its reason; where nothing may be missing it is a failure unless for macOS only", () => {
  const events = [
    ...ended("a", { skipped: "needs samba" }),
    ...ended("b", { skipped: "" }),
    ...ended("c", { skipped: "macOS only: needs configd" }),
    ...ended("d", { skipped: "not on Linux; macOS only" }),
    FINISHED,
  ];
  assert.deepEqual(outcome(events).skipped[0], { title: "a", reason: "needs samba", file: null });
  assert.deepEqual(outcome(events).failures, []);
  const { skipped, failures } = outcome(events, {}, true);
  assert.deepEqual(skipped, [{ title: "c", reason: "macOS only: needs configd", file: null }]);
  assert.match(failures.join("|"), /^a\n.*needs samba\|b\n.*no reason given\|d\n/);
});

describe("a file also fails when it", () => {
  const ran = [...ended("x"), FINISHED];
  const underWay: TestEvent[] = [...ended("x"), { event: "started", name: "y", nesting: 0 }];
  const hangs = { exitCode: null, signal: "SIGKILL", timedOutAfterMs: 4000 };
  const cases: readonly [string, readonly TestEvent[], Partial<FileEnd>, RegExp][] = [
    ["runs no test", [], {}, /ran no test/],
    ["cannot be loaded", [], { exitCode: 1 }, /ended with 1, though no test failed/],
    ["fails after its tests", ran, { exitCode: 7 }, /ended with 7, though no test failed/],
    ["exits amid its tests", underWay, {}, /ended with 0 before its tests did; under way: "y"/],
    ["is killed", ended("x"), { exitCode: null, signal: "SIGSEGV" }, /ended by SIGSEGV/],
    ["hangs", underWay, hangs, /within 4 s; under way: "y"/],
    ["is kept alive", ran, { ...hangs, keptAlive: ["{tcp}"] }, /keeps the process alive\n\{tcp\}$/],
    ["leaves something", ran, { leftBehind: ["process 7"] }, /^left behind:\nprocess 7/],
  ];
  for (const [name, events, end, expected] of cases) {
    test(name, () => {
      const { failures } = outcome(events, end);
      assert.equal(failures.length, 1);
      assert.match(failures[0] ?? "", expected);
    });
  }

  test("but not when the requested titles are in other files", () => {
    assert.deepEqual(outcome([FINISHED], { filtered: true }).failures, []);
  });
});

// Each test file is in the suite that its rigs say.
const ROOT = path.resolve(import.meta.dirname, "../..");
const SOURCES = new Map([
  ["test/support/daemon.ts", 'const launcher = "../../bin/mountaineer"; export { startMonitor };'],
  ["test/rig.ts", `import {\n  createTestHome,\n} from "./support/daemon.ts";\nhome${"."}startMonitor();`],
  ["test/of-commands.test.ts", 'import { createTestHome } from "./support/daemon.ts";'],
  ["test/of-a-daemon.test.ts", 'import {\n  rig,\n} from "./rig.ts";'],
  ["test/of-its-types.test.ts", 'import type { Rig } from "./rig.ts";'],
  ["test/of-a-terminal.test.ts", 'import "./tui/terminal.ts";'],
  ["test/smoke/daemon.test.ts", 'import { rig } from "../rig.ts";'],
  ["test/lab/alone.test.ts", ""],
  ["test/nightly/daemon.test.ts", 'import { rig } from "../rig.ts";'],
]);

test("a daemon or a terminal makes a story for the lab, but for the smoke stories", () => {
  assert.deepEqual(Object.fromEntries(suitesOf(SOURCES)), {
    "test/of-commands.test.ts": "unit",
    "test/of-a-daemon.test.ts": "lab",
    "test/of-its-types.test.ts": "unit",
    "test/of-a-terminal.test.ts": "lab",
    "test/smoke/daemon.test.ts": "unit",
    "test/lab/alone.test.ts": "lab",
    "test/nightly/daemon.test.ts": "nightly",
  });
});

test("tests that load the rig of commands start commands", () => {
  assert.equal(startsCommands("test/of-commands.test.ts", SOURCES), true);
  assert.equal(startsCommands("test/of-its-types.test.ts", SOURCES), false);
});

test("the rigs and files that the rules name exist", async () => {
  for (const file of NAMED_FILES) await access(path.join(ROOT, file));
});

// Files that share a process: each is a suite of its own, its hooks are its own, and one that fails is told by name.
const TOGETHER = path.resolve(import.meta.dirname, "../../scripts/test-together.ts");

function run(args: readonly string[]): Promise<{ readonly code: number; readonly stdout: string }> {
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["--test-reporter=tap", TOGETHER, ...args],
      { env, timeout: 60_000 },
      (error, stdout) => resolve({ code: error === null ? 0 : Number(error.code), stdout }),
    );
  });
}

test("each file is a suite with its own hooks, and a failure in one leaves the others whole", async (t) => {
  const folder = await temporaryFolder(t);
  const file = async (name: string, text: string): Promise<string> => {
    const made = path.join(folder, name);
    await writeFile(
      made,
      `import { beforeEach, test } from "node:test";\nimport assert from "node:assert";\n${text}`,
    );
    return made;
  };
  const hooked = await file(
    "hooked.mjs",
    'beforeEach(() => { globalThis.hooks = (globalThis.hooks ?? 0) + 1; });\ntest("first", () => {});\ntest("second", () => {});',
  );
  const broken = await file("broken.mjs", 'test("third", () => assert.fail("as told"));');
  const unreadable = await file("unreadable.mjs", 'throw new Error("not loaded");');
  const counting = await file("counting.mjs", 'test("fourth", () => assert.equal(globalThis.hooks, 2));');

  const { code, stdout } = await run([hooked, broken, unreadable, counting]);

  assert.equal(code, 1);
  const ends = [...stdout.matchAll(/^( *)(ok|not ok) \d+ - (\S+)$/gm)].map(
    ([, indent = "", end, name = ""]) => `${indent.length / 4} ${end} ${path.basename(name)}`,
  );
  assert.deepEqual(ends, [
    "1 ok first",
    "1 ok second",
    "0 ok hooked.mjs",
    "1 not ok third",
    "0 not ok broken.mjs",
    "0 not ok unreadable.mjs",
    "1 ok fourth",
    "0 ok counting.mjs",
  ]);
  assert.match(stdout, /not loaded/);

  // The time is over when the first has run: no other is begun.
  const short = await run(["--for", "1", hooked, broken]);
  assert.equal(short.code, 0, short.stdout);
  assert.match(short.stdout, /ok \d+ - second/);
  assert.doesNotMatch(short.stdout, /third/);

  const red = await run(["--for", "600000", hooked, broken, counting]);
  assert.match(red.stdout, /not ok \d+ - third/);
  assert.doesNotMatch(red.stdout, /fourth/);
});

// The processes of tests start the build's programs, and the sources' where the build has none of that name.
const READER = path.join(ROOT, "src/config/worker/reader-process.ts");

function besideReader(names: readonly string[], options: readonly string[]): string[] {
  const module = pathToFileURL(path.join(ROOT, "src/runtime/process/program-beside.ts")).href;
  const script = `import { programBeside } from ${JSON.stringify(module)};
const at = (name) => programBeside(${JSON.stringify(pathToFileURL(READER).href)}, name).href;
console.log(JSON.stringify(${JSON.stringify(names)}.map(at)));`;
  const arguments_ = [...options, "--input-type=module", "--eval", script];
  return JSON.parse(execFileSync(process.execPath, arguments_, { encoding: "utf8", timeout: 60_000 }));
}

test("a program is the build's if that has it, and otherwise the one next to the source", () => {
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

// What a test leaves behind, and what keeps it alive.
async function mark(t: TestContext): Promise<{ folder: string; token: string }> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), "mark-")));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return { folder, token: path.basename(folder).replaceAll("-", "") };
}

function start(t: TestContext, args: string[], env: NodeJS.ProcessEnv, cwd = "/"): ChildProcess {
  const child = spawn("sleep", ["300", ...args], { stdio: "ignore", detached: true, env, cwd });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

const linuxOnly = process.platform === "linux" ? false : "Linux only: needs /proc";

test("a process is found by its environment, its arguments and its folder, and ended", {
  skip: linuxOnly,
}, async (t) => {
  const { folder, token } = await mark(t);
  const plain = { PATH: process.env["PATH"] };
  const byEnvironment = start(t, [], { ...plain, TMPDIR: folder });
  const byFolder = start(t, [], plain, folder);
  const other = start(t, [], { ...plain, TMPDIR: `${folder}2` });
  const expected = [byEnvironment.pid, byFolder.pid].toSorted();
  const found = await eventually(async () => {
    const left = await findLeftBehind({ folder, token });
    return left.processes.length === 2 && left;
  });
  assert.deepEqual(found.processes.map(({ pid }) => pid).toSorted(), expected);
  assert.match(describeLeftBehind(found)[0] ?? "", /^process \d+ is still running: sleep 300/);
  await clearLeftBehind(found);
  await eventually(async () => isNothing(await findLeftBehind({ folder, token })));
  assert.equal(other.exitCode, null);
  assert.equal(other.signalCode, null);
});

test("nothing is found where nothing was left", async (t) => {
  assert.ok(isNothing(await findLeftBehind(await mark(t))));
});

test("a folder is mentioned as a whole path only", () => {
  assert.ok(mentions("TMPDIR=/tmp/mt-a/1\0PATH=/bin", "/tmp/mt-a/1"));
  assert.ok(mentions("--config\0/tmp/mt-a/1/x", "/tmp/mt-a/1"));
  assert.ok(mentions("/tmp/mt-a/12 /tmp/mt-a/1", "/tmp/mt-a/1"));
  assert.ok(!mentions("/tmp/mt-a/12/x", "/tmp/mt-a/1"));
  assert.ok(!mentions("/tmp/mt-a/1.output", "/tmp/mt-a/1"));
});

const LISTENS = 'require("node:net").createServer().listen(0, "127.0.0.1", () => console.log("listens"))';

describe("what keeps a test's process alive", () => {
  test("is reported by the process itself: here a port that was not closed", async (t) => {
    const reportPath = join(await temporaryFolder(t), "report.json");
    const child = spawn(process.execPath, [...reportOptions(reportPath), "-e", LISTENS], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const ended = once(child, "exit");
    t.after(async () => {
      child.kill("SIGKILL");
      await ended;
    });
    await once(child.stdout, "data");
    assert.ok(child.pid !== undefined);
    const lines = await keptAliveBy(child.pid, reportPath);
    assert.ok(
      lines.some((line) => line.includes('"type":"tcp"') && line.includes("127.0.0.1")),
      lines.join("\n"),
    );
  });

  test("is nothing when the process has ended", async (t) => {
    const child = spawn(process.execPath, ["-e", ""], { stdio: "ignore" });
    await once(child, "exit");
    assert.ok(child.pid !== undefined);
    assert.deepEqual(await keptAliveBy(child.pid, join(await temporaryFolder(t), "report.json")), []);
  });

  test("is not read from half a report", () => {
    assert.equal(reportedHandles('{"libuv": [{"type": "tcp", '), null);
  });
});

// One unlucky test ends no run of `.ci/run`: what failed is played again after the rest, and the totals stay right.

function failed(file: string): FailedFiles {
  const counted = { passed: 4, failed: 1, skipped: 0 };
  return { suite: "unit", files: [file], counted, failures: [`${file} broke`], load: [1, 1, 1] };
}

/** A checkout with the runner and these test files; resolves with what a run of one suite prints, and the record then. */
async function runOf(
  t: TestContext,
  tests: Readonly<Record<string, string>>,
  record = "",
  variables: Readonly<Record<string, string>> = {},
): Promise<{ printed: string; record: string }> {
  const root = await temporaryFolder(t);
  const copied = ["bin/with-node", "bin/find-node.sh", ".ci/suites.sh", "package.json"];
  copied.push(...(await Array.fromAsync(glob("scripts/*.ts", { cwd: ROOT }))));
  for (const file of copied) await cp(path.join(ROOT, file), path.join(root, file));
  await symlink(path.join(ROOT, "node_modules"), path.join(root, "node_modules"));
  await mkdir(path.join(root, ".tmp"));
  await writeFile(path.join(root, ".tmp/replays"), record);
  for (const [name, text] of Object.entries(tests)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(
      path.join(root, name),
      `import { test } from "node:test";
       import { existsSync, writeFileSync } from "node:fs";
       const again = existsSync(${JSON.stringify(`${root}/${name}.played`)});
       writeFileSync(${JSON.stringify(`${root}/${name}.played`)}, "");
       test("is the same", () => {});
       ${text}`,
    );
  }
  const run = `. .ci/suites.sh; begin_record; suite tests 300 counted bin/with-node scripts/test.ts unit; play_failed_again; finish`;
  const { NODE_TEST_CONTEXT: _context, MOUNTAINEER_TEST_EVENTS: _events, ...env } = process.env;
  const printed = await new Promise<string>((resolve) => {
    execFile(
      "bash",
      ["-c", run],
      { cwd: root, env: { ...env, ...variables }, timeout: 600_000 },
      (_error, stdout) => resolve(stdout),
    );
  });
  return { printed, record: await readFile(path.join(root, ".tmp/replays"), "utf8") };
}

const UNLUCKY = `test("is lucky once", () => { if (!again) throw new Error("not yet"); });`;
const ONE = "test/api/one.test.ts";
const BROKEN = `test("is broken", () => { throw new Error("never"); });`;

describe("a run whose tests fail", () => {
  test("passes if they pass when they are run again, and lists which, how and at what load", async (t) => {
    const before = `2026-01-01T00:00:00Z ${ONE}\n`;
    const { printed, record } = await runOf(t, { [ONE]: UNLUCKY, "test/api/two.test.ts": "" }, before);
    const [, flaky = ""] = printed.split("\nFLAKY: ");
    assert.match(flaky, /\ntest\/api\/one\.test\.ts failed at a load of [\d.]+, [\d.]+, [\d.]+:/);
    assert.match(flaky, /Error: not yet/);
    assert.match(printed, /\n3 passed, 0 failed\n$/);
    assert.match(
      record,
      /^2026-01-01T00:00:00Z test\/api\/one\.test\.ts\n\d{4}-\S+Z test\/api\/one\.test\.ts\n$/,
    );
  });

  test("fails if one of them fails again", async (t) => {
    const { printed } = await runOf(t, { [ONE]: UNLUCKY, "test/two.test.ts": BROKEN });
    assert.match(printed, /\nFLAKY: .*\ntest\/api\/one/);
    const end = printed.slice(printed.lastIndexOf("\n--- tests\n"));
    assert.match(end, /^FAIL .* test\/two\.test\.ts(?:.*\n)+ +failed: is broken/m);
    assert.match(printed, /\n3 passed, 1 failed\n$/);
  });

  test("fails without running anything again if one was replayed in two runs before, and reports how it failed", async (t) => {
    const before = `2026-01-01T00:00:00Z\n2026-01-02T00:00:00Z ${ONE}\n2026-01-03T00:00:00Z test/a.test.ts ${ONE}\n`;
    const { printed, record } = await runOf(t, { [ONE]: UNLUCKY }, before);
    assert.match(record, /^[\s\S]*Z test\/a\.test\.ts test\/api\/one\.test\.ts\n\d{4}-\S+Z\n$/);
    const [, refused = ""] = printed.split("not played again: ");
    assert.match(refused, /^test\/api\/one\.test\.ts passed only when replayed in 2 of the last 30 runs/);
    assert.match(
      refused,
      /\ntest\/api\/one\.test\.ts failed at a load of .*:\n(?: {4}.*\n)*.*Error: not yet/,
    );
    assert.match(printed, /\n1 passed, 1 failed\n$/);
  });
});

const PLACES = ["HOME", "TMPDIR", "MOUNTAINEER_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"];

test("each test file has its own home and temporary folder, also in a shared process, and is listed with its time", async (t) => {
  const told = await temporaryFolder(t);
  const tell = (name: string): string => `
    import { homedir, tmpdir } from "node:os";
    const places = () => JSON.stringify(${JSON.stringify(PLACES)}.map((name) => process.env[name] ?? null));
    const loaded = places();
    test("tells", () => {
      if (homedir() !== process.env.HOME || tmpdir() !== process.env.TMPDIR) throw new Error(homedir());
      if (!existsSync(homedir()) || !existsSync(tmpdir()) || places() !== loaded) throw new Error(places());
      writeFileSync(${JSON.stringify(told)} + "/${name}", loaded);
    });`;
  const names = ["api/a", "api/b", "api/c", "architecture/d"];
  const tests = Object.fromEntries(names.map((name) => [`test/${name}.test.ts`, tell(path.basename(name))]));
  const home = await temporaryFolder(t);
  const user = { HOME: home, XDG_STATE_HOME: home, XDG_RUNTIME_DIR: home, MOUNTAINEER_HOME: home };
  const { printed } = await runOf(t, tests, "", user);
  assert.match(printed, /ok .* test\/api, 3 files {2}6 passed[\s\S]*\n8 passed, 0 failed\n$/);
  const [, slowest = ""] = printed.split("\nthe slowest files\n");
  const listed = slowest
    .split("\n")
    .slice(0, names.length)
    .map((line) => /^ +\d+\.\d s {2}(.*)$/.exec(line)?.[1]);
  assert.deepEqual(listed.sort(), Object.keys(tests));
  const seen = await Promise.all(
    names.map(
      async (name): Promise<(string | null)[]> =>
        JSON.parse(await readFile(path.join(told, path.basename(name)), "utf8")),
    ),
  );
  assert.equal(new Set(seen.flatMap((places) => places.slice(0, 2))).size, 2 * names.length);
  for (const [, temporary = null, ...others] of seen) {
    assert.ok(temporary !== null && temporary.length <= tmpdir().length + "/mt-XXXXXX/999/99".length);
    assert.deepEqual(others, [null, null, null]);
  }
});

test("a test file's remains in the user's home or next to the run's folder are reported with the file, and fail the run", async (t) => {
  const home = await temporaryFolder(t);
  await mkdir(path.join(home, ".config"));
  await writeFile(path.join(home, "before"), "");
  const inHome = path.join(home, ".config/autostart.new");
  const beside = path.join("/tmp", `mountaineer-${path.basename(home)}`);
  t.after(() => rm(beside, { force: true }));
  const write = (...files: readonly string[]): string =>
    `test("writes", () => { ${files.map((file) => `writeFileSync(${JSON.stringify(file)}, "");`).join(" ")} });`;
  const tests = { [ONE]: write(inHome, path.join(home, "before")), "test/two.test.ts": write(beside) };
  const { printed } = await runOf(t, tests, "", { HOME: home });
  for (const [file, title] of [
    [inHome, ONE],
    [beside, "test/two.test.ts"],
  ] as const)
    assert.match(
      printed,
      new RegExp(`^(FAIL|note): left outside of the tests' folders: ${file}, made while .*${title}`, "m"),
    );
  assert.doesNotMatch(printed, /home\/before/);
  // Others may test on this machine meanwhile: then nobody can tell whose it is.
  if (!printed.includes("another test run was under way")) assert.match(printed, /\n4 passed, 2 failed\n$/);
});

test("ten test files are run again, eleven are not", () => {
  const ten = [..."abcdefghij"].map(failed);
  assert.equal(refusal(ten, ""), null);
  assert.match(refusal([...ten, failed("k")], "") ?? "", /^11 test files failed/);
});

test("a file is replayed twice in thirty runs; runs before those are forgotten", () => {
  const runs = (count: number): string => "2026-01-02\n".repeat(count);
  const twice = `2026-01-01 a\n2026-01-01 b a\n`;
  assert.match(refusal([failed("a")], twice + runs(28)) ?? "", /^a passed only when replayed/);
  assert.equal(refusal([failed("a")], twice + runs(29)), null);
  assert.equal(refusal([failed("b")], twice + runs(28)), null);
  assert.equal(recorded(twice + runs(29), ["a", "a", "c"]).split("\n").length, 31);
  assert.match(recorded(twice + runs(29), ["a", "a", "c"]), /^2026-01-01 b a\n[\s\S]*\n2026-01-02 a c\n$/);
});

test("a file that does not end well the second time stays failed", async () => {
  const totals = { passed: 10, failed: 1, skipped: 2 };
  for (const again of [null, { passed: 0, failed: 0, skipped: 0 }, { passed: 4, failed: 1, skipped: 0 }])
    assert.deepEqual(await replay([failed("a")], totals, async () => again), { totals, flaky: [] });
});

test("files that shared a process are run again together if the failure belongs to none of them", () => {
  const end = { exitCode: 0, signal: null, timedOutAfterMs: null, keptAlive: [], filtered: false };
  const outcome = fileOutcome([{ event: "finished" }], { ...end, leftBehind: ["process 7"] }, false);
  const [one, ...others] = failedFiles("unit", ["a.test.ts", "b.test.ts"], outcome, [1, 1, 1]);
  assert.deepEqual(one?.files, ["a.test.ts", "b.test.ts"]);
  assert.deepEqual(others, []);
});

test("a quotation in a story is one word, with its commas, semicolons and colons", () => {
  const sentence = ` over tb: says "a, b; c: d", calm; says "": lost`;
  assert.deepEqual(split(sentence, /;/), [` over tb: says "a, b; c: d", calm`, ` says "": lost`]);
  assert.deepEqual(split(`says "a, b; c: d", calm`, /, /), [`says "a, b; c: d"`, "calm"]);
});
