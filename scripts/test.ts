// Runs a suite of test files, a process for each or for a few, and ends with the one line "N passed, N failed".
// Usage: bin/with-node scripts/test.ts unit|lab|nightly [PART-OF-A-PATH…] [--name PATTERN] [--concurrency N]
//        [--timeout SECONDS] [--verbose] [--build], or scripts/test.ts unit --changed | --near FILE…. `nightly` plays
//        the files of all suites (`test-suites.ts`), one after the other and with hours for each; `--build` builds first;
//        `--changed` and `--near` run the test files nearest to what changed, or to these files, in two processes.
import { spawn, spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { appendFile, chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism, loadavg } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { currentBuild, isBuildFresh } from "./current-build.ts";
import { importGraph, nearestTests, readSources } from "./import-graph.ts";
import { keptAliveBy, reportOptions } from "./kept-alive.ts";
import {
  clearLeftBehind,
  describeLeftBehind,
  findLeftBehind,
  findMounts,
  isNothing,
  type LeftBehind,
  type Mark,
} from "./left-behind.ts";
import { machineSlowness } from "./machine-slowness.ts";
import { type FileEnd, type FileOutcome, fileOutcome, filesOfSkips } from "./test-outcome.ts";
import { makeRunFolder, Outside, ownPlaces, type Played, withoutUserPlaces } from "./test-places.ts";
import { FAILURES_VARIABLE, failedFiles, tellFailed } from "./test-replay.ts";
import type { TestEvent } from "./test-reporter.ts";
import { type Suite, startsCommands, suitesOf } from "./test-suites.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
const TOGETHER = path.join(import.meta.dirname, "test-together.ts");
const REPORTER = path.join(import.meta.dirname, "test-reporter.ts");
const BUILT_PROGRAMS = path.join(import.meta.dirname, "built-programs.ts");
/**
 * Most processes of a run are Nodes that run the sources: with stripped and compiled code from the process before, a
 * reader of configurations starts with a third of the CPU. Kept between runs; Node tells changed files by their content.
 */
const COMPILE_CACHE = path.join(ROOT, ".tmp", "compiled");

/**
 * A file waits for a good part of its time, for processes and for what it may take: more of them than cores keep these
 * busy. A file's limit ends what hangs, and must fail no file on a machine that is ten times as slow.
 */
const SUITES = {
  unit: { timeoutSeconds: 600, concurrency: availableParallelism() + 2 },
  lab: { timeoutSeconds: 1200, concurrency: availableParallelism() + 2 },
  nightly: { timeoutSeconds: 4 * 60 * 60, concurrency: 1 },
} as const;

/** Their files take ten seconds and more: they come first, so that at the end no slot stands idle while one is played. */
const LONG_FOLDERS = [
  ...[
    "test/gateway/backends/transports/versions/",
    "test/mcp/sleeping-servers",
    "test/lab/",
    "test/mcp/matrix/",
    "test/web/page",
    "test/smoke/",
    "test/live/",
    "test/demo/",
    "test/daemon/",
    "test/cli/",
    "test/docs/",
    "test/mcp/",
    "test/tui/",
  ],
  ...["test/shares/drivers/", "test/config/", "test/doctor/"],
  "test/mcp-bridge/",
];

/**
 * Their files mostly test functions, and a process for each would cost more than its tests: those of a folder run in
 * one process, each as a suite of its own.
 */
const TOGETHER_FOLDERS = [
  ...["test/api/", "test/clients/", "test/config/", "test/doctor/", "test/scripts/"],
  // They run commands in their own process, which loads the command line once.
  ...["clients", "completion", "edits", "in-process", "init", "input", "program", "views"].map(
    (folder) => `test/cli/${folder}/`,
  ),
  ...["test/daemon/compose/", "test/daemon/control/", "test/daemon/events/", "test/gateway/"],
  ...["test/mcp-bridge/", "test/menubar/", "test/network/", "test/reconcile/", "test/runtime/"],
  ...["test/shares/engine/", "test/shares/links/", "test/shares/mounts/", "test/shares/policy/"],
  ...["test/sync/", "test/tui/", "test/web/"],
];
const MOST_TOGETHER = 15;

/** Names a file to which a run appends the test file of each test that it skipped and that runs where everything is installed. */
const SKIPS_VARIABLE = "MOUNTAINEER_TEST_SKIPS";

/** Tests of all sources, and of tools that name some: they are no nearer to these than to others. */
const TESTS_OF_ALL = /^test\/(architecture|scripts)\//;

/** Whoever saves a file waits so long for an answer, and for the end of the test files that run then. */
const NEAR_FOR_MS = 2000;
/** Tests wait more than they compute; each further process loads once more what the tests do. */
const NEAR_PROCESSES = 2;
/** Up to so many times as long where others want the cores, too: else it would hear of one file mostly. */
const MOST_TIMES_AS_LONG = 4;
/** So many are begun within it mostly. */
const FIRST_NEAR = 3;
/** A change can make a test hang: this is told sooner than in a whole run. */
const NEAR_LIMIT_SECONDS = 60;

/** A quiet machine measures up to this. */
const TOLD_FROM = 1.3;

const SLOWEST = 10;

/** How long what a test ended may take to be gone. */
const GRACE_MS = 3000;
/** How often it is looked whether one of the nearest files has failed. */
const BETWEEN_LOOKS_MS = 100;

/**
 * Node keeps what a process compiled when that ends by itself. Readers of configurations are killed, and keep nothing:
 * one is run here to its own end.
 */
function warmUp(): void {
  const programs = [path.join(ROOT, "src/config/worker/load-child.ts")];
  const build = currentBuild();
  if (build !== null) programs.push(path.join(build, "load-child.js"));
  for (const program of programs) {
    spawnSync(process.execPath, [program], {
      stdio: "ignore",
      env: { ...process.env, NODE_COMPILE_CACHE: COMPILE_CACHE },
    });
  }
}

interface FileResult {
  /** The file, or the folder and how many of its files were run together. */
  readonly title: string;
  readonly folder: string;
  readonly files: readonly string[];
  readonly outcome: FileOutcome;
  readonly output: string;
  readonly seconds: number;
  readonly played: Played;
}

interface FileRun {
  readonly namePatterns: readonly string[];
  readonly timeoutMs: number;
  /** After so long no further file of a process is begun; null: all are. */
  readonly forMs: number | null;
  readonly strictSkips: boolean;
  /** The programs that a test's sources start are those of the build. */
  readonly startsBuilt: boolean;
  /** What waits for work are multiplied by (`machine-slowness.ts`). */
  readonly slowness: number;
  readonly signal: AbortSignal;
}

/** `files`: of one folder. */
async function runFiles(files: readonly string[], mark: Mark, options: FileRun): Promise<FileResult> {
  const startedAt = performance.now();
  const from = Date.now();
  const temporary = mark.folder;
  await mkdir(temporary, { mode: 0o711 });
  // Outside the temporary folder, which the test may look at, and whose mention marks a process.
  const eventsFile = `${temporary}.events`;
  const outputFile = `${temporary}.output`;
  const reportFile = `${temporary}.report`;
  await writeFile(eventsFile, "");
  const answered = new AbortController();
  const signal = AbortSignal.any([options.signal, answered.signal]);
  const look = async (): Promise<void> => {
    if ((await readEvents(eventsFile)).some(isFailure)) answered.abort();
  };
  const looks = options.forMs === null ? undefined : setInterval(look, BETWEEN_LOOKS_MS);
  const end = await untilEnded(
    files,
    mark,
    { eventsFile, outputFile, reportFile },
    { ...options, signal },
  ).finally(() => clearInterval(looks));
  const found = await leftBehindAfterGrace(mark, signal);
  await clearLeftBehind(found);
  const events = await readEvents(eventsFile);
  const filtered = options.namePatterns.length > 0;
  const outcome = fileOutcome(
    answered.signal.aborted ? [...events, { event: "finished" }] : events,
    answered.signal.aborted
      ? { ...FAILED, filtered }
      : { ...end, filtered, leftBehind: describeLeftBehind(found) },
    options.strictSkips,
  );
  const output = await readFile(outputFile, "utf8");
  // Deleting through a mount would delete what is mounted.
  if ((await findMounts(temporary)).length === 0) await rm(temporary, { recursive: true, force: true });
  const folder = path.dirname(files[0] ?? ".");
  const begun = outcome.byFile.size || files.length;
  const title = files.length === 1 ? (files[0] ?? "") : `${folder}, ${begun} files`;
  const seconds = (performance.now() - startedAt) / 1000;
  return { title, folder, files, outcome, output, seconds, played: { title, from, to: Date.now() } };
}

/** Ended with its first failure: neither that nor what it left says more. */
const FAILED = { exitCode: 1, signal: null, timedOutAfterMs: null, keptAlive: [], leftBehind: [] } as const;

/** A line that is not whole yet is left for later. */
async function readEvents(file: string): Promise<TestEvent[]> {
  const lines = (await readFile(file, "utf8")).split("\n").slice(0, -1);
  return lines.map((line): TestEvent => JSON.parse(line));
}

function isFailure(event: TestEvent): boolean {
  return event.event === "ended" && !event.passed && event.skipped === null && event.error !== null;
}

type ProcessEnd = Pick<FileEnd, "exitCode" | "signal" | "timedOutAfterMs" | "keptAlive">;

function untilEnded(
  files: readonly string[],
  mark: Mark,
  { eventsFile, outputFile, reportFile }: { eventsFile: string; outputFile: string; reportFile: string },
  { namePatterns, timeoutMs, forMs, startsBuilt, slowness, signal }: FileRun,
): Promise<ProcessEnd> {
  const { [FAILURES_VARIABLE]: _failures, [SKIPS_VARIABLE]: _skips, ...inherited } = process.env;
  // A file, not a pipe: what outlives the test and still holds its stderr must not hold up the run.
  const output = openSync(outputFile, "w");
  const child = spawn(
    process.execPath,
    [
      ...reportOptions(reportFile),
      ...(startsBuilt ? [`--import=${BUILT_PROGRAMS}`] : []),
      `--test-reporter=${REPORTER}`,
      ...namePatterns.map((pattern) => `--test-name-pattern=${pattern}`),
      ...(files.length > 1 || forMs !== null
        ? [TOGETHER, "--places", mark.folder, ...(forMs === null ? [] : ["--for", String(forMs)])]
        : []),
      ...files,
    ],
    {
      cwd: ROOT,
      // A process group of its own, so that a file which hangs ends with its children.
      detached: true,
      stdio: ["ignore", output, output],
      env: {
        NODE_COMPILE_CACHE: COMPILE_CACHE,
        ...withoutUserPlaces(inherited),
        ...ownPlaces(mark.folder, 0),
        MOUNTAINEER_TEST_RUN: mark.token,
        MOUNTAINEER_TEST_EVENTS: eventsFile,
        MOUNTAINEER_TEST_SLOWNESS: slowness.toFixed(2),
      },
    },
  );
  closeSync(output);
  return new Promise((resolve, reject) => {
    let timedOutAfterMs: number | null = null;
    let keptAlive: readonly string[] = [];
    const end = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // The group is gone already.
      }
    };
    const timer = setTimeout(async () => {
      timedOutAfterMs = timeoutMs;
      if (child.pid !== undefined) keptAlive = await keptAliveBy(child.pid, reportFile);
      end();
    }, timeoutMs);
    signal.addEventListener("abort", end, { once: true });
    child.once("error", reject);
    child.once("exit", (exitCode, endedBy) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve({ exitCode, signal: endedBy, timedOutAfterMs, keptAlive });
    });
  });
}

/** No grace for what ended with the run. */
async function leftBehindAfterGrace(mark: Mark, signal: AbortSignal): Promise<LeftBehind> {
  const deadline = performance.now() + GRACE_MS;
  for (;;) {
    const found = await findLeftBehind(mark);
    if (isNothing(found) || signal.aborted || performance.now() > deadline) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, "    ");
}

function report({ title, outcome, output, seconds }: FileResult, verbose: boolean): void {
  const counts = [
    `${outcome.passed} passed`,
    ...(outcome.failures.length > 0 ? [`${outcome.failures.length} failed`] : []),
    ...(outcome.skipped.length > 0 ? [`${outcome.skipped.length} skipped`] : []),
  ].join(", ");
  print(
    `${outcome.failures.length > 0 ? "FAIL" : "  ok"}  ${seconds.toFixed(1).padStart(6)} s  ${title}  ${counts}`,
  );
  for (const skip of outcome.skipped)
    print(indent(`skipped: ${skip.title}: ${skip.reason || "no reason given"}`));
  for (const failure of outcome.failures) print(`${indent(`failed: ${failure}`)}\n`);
  if (verbose || outcome.failures.length > 0) {
    for (const note of outcome.notes) print(indent(`note: ${note}`));
    // The end says why; a daemon's log may be long.
    if (output.trim() !== "")
      print(indent(`--- output of ${title}:\n${output.slice(-20_000).trimEnd()}\n---`));
  }
}

/** Of the files, not of the processes that several share; what else ran at the same time is in their times. */
function reportSlowest(results: readonly FileResult[]): void {
  const files = results.flatMap(({ seconds, title, outcome: { byFile } }) =>
    byFile.size === 0
      ? { seconds, title }
      : [...byFile].map(([file, counts]) => ({ seconds: counts.seconds, title: file })),
  );
  print("\nthe slowest files");
  for (const { seconds, title } of files
    .toSorted((one, other) => other.seconds - one.seconds)
    .slice(0, SLOWEST))
    print(`${seconds.toFixed(1).padStart(8)} s  ${title}`);
}

function reportSuites(results: readonly FileResult[]): void {
  const suites = Map.groupBy(results, ({ folder }) => folder);
  print("\nsuite                          files  passed  failed  skipped      time");
  for (const [suite, members] of [...suites].sort(([a], [b]) => a.localeCompare(b))) {
    const sum = (count: (result: FileResult) => number): number =>
      members.reduce((total, member) => total + count(member), 0);
    print(
      suite.padEnd(31) +
        String(sum(({ files }) => files.length)).padStart(5) +
        String(sum(({ outcome }) => outcome.passed)).padStart(8) +
        String(sum(({ outcome }) => outcome.failures.length)).padStart(8) +
        String(sum(({ outcome }) => outcome.skipped.length)).padStart(9) +
        `${sum(({ seconds }) => seconds)
          .toFixed(1)
          .padStart(8)} s`,
    );
  }
}

function matches(file: string, parts: readonly string[]): boolean {
  return parts.length === 0 || parts.some((part) => file.includes(part.replace(/^\.\//, "")));
}

/** The nightly plays everything. */
async function testFiles(suite: Suite, parts: readonly string[]): Promise<string[]> {
  const suites = suitesOf(await readSources(ROOT, ["test/**/*.{ts,tsx}"]));
  const files = [...suites.keys()].filter(
    (file) => (suite === "nightly" || suites.get(file) === suite) && matches(file, parts),
  );
  const place = (file: string): number => {
    const long = LONG_FOLDERS.findIndex((folder) => file.startsWith(folder));
    return long === -1 ? LONG_FOLDERS.length : long;
  };
  return files.sort((one, other) => place(one) - place(other) || (one < other ? -1 : 1));
}

/** The few test files of the suite that say most about `changed`, the nearest first. */
async function nearFiles(changed: readonly string[], parts: readonly string[]): Promise<string[]> {
  const sources = await readSources(ROOT);
  const suites = suitesOf(sources);
  const reaching = nearestTests(sources, importGraph(sources), changed);
  const files = reaching
    .filter(
      ({ file }) =>
        suites.get(file) === "unit" &&
        matches(file, parts) &&
        (!TESTS_OF_ALL.test(file) || changed.some((one) => one === file || one.startsWith("scripts/"))),
    )
    // What runs commands costs seconds and a build, and reaches nearly everything: only where it is nearest of all.
    .filter(
      ({ file, isBeside }, place) =>
        place < FIRST_NEAR || isBeside || changed.includes(file) || !startsCommands(file, sources),
    )
    .map(({ file }) => file);
  const nearest = files.slice(0, MOST_TOGETHER);
  const inLab = reaching.flatMap(({ file }) =>
    suites.get(file) === "lab" && matches(file, parts) ? file : [],
  );
  print(`${changed.join(", ") || "nothing"} changed: ${nearest.length} of ${files.length} test files`);
  if (inLab.length > 0) print(`${inLab.length} more are in the lab: npm run test:lab -- ${inLab[0]}`);
  if (nearest.some((file) => startsCommands(file, sources)) && !(await isBuildFresh())) build();
  return nearest;
}

/** What git calls changed since HEAD, and new. */
function changedFiles(): string[] {
  const git = (...args: string[]): string[] => {
    const { status, stdout, stderr } = spawnSync("git", args, { cwd: ROOT, encoding: "utf8" });
    if (status !== 0) throw new Error(`git ${args.join(" ")} failed: ${stderr}`);
    return stdout.split("\n").filter((line) => line !== "");
  };
  return [
    ...git("diff", "--name-only", "--relative", "HEAD"),
    ...git("ls-files", "--others", "--exclude-standard"),
  ];
}

function build(): void {
  const { status } = spawnSync(process.execPath, [path.join(import.meta.dirname, "build.ts")], {
    cwd: ROOT,
    stdio: "inherit",
  });
  if (status !== 0) throw new Error("the build failed");
}

/** What one process runs: a file, or several of a folder whose tests start next to nothing. */
function together(files: readonly string[]): string[][] {
  const groups: string[][] = [];
  for (const file of files) {
    const folder = path.dirname(file);
    const last = groups.at(-1);
    const joins =
      TOGETHER_FOLDERS.some((one) => file.startsWith(one)) &&
      last?.[0] !== undefined &&
      path.dirname(last[0]) === folder &&
      last.length < MOST_TOGETHER;
    if (joins) last.push(file);
    else groups.push([file]);
  }
  return groups;
}

/** The first to the first, the second to the second, and so on anew. */
function dealt(files: readonly string[], hands: number): string[][] {
  const dealing = [...Map.groupBy(files.entries(), ([index]) => index % hands).values()];
  return dealing.map((hand) => hand.map(([, file]) => file));
}

function numberAbove0(text: string | undefined, fallback: number, option: string): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${option} wants a number above 0, not ${text}`);
  return value;
}

/** How long the nearest files are begun. */
function nearForMs(): number {
  const [load = 0] = loadavg();
  return NEAR_FOR_MS * Math.min(MOST_TIMES_AS_LONG, Math.max(1, load / availableParallelism()));
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      name: { type: "string", multiple: true, default: [] },
      concurrency: { type: "string" },
      timeout: { type: "string" },
      verbose: { type: "boolean", default: false },
      build: { type: "boolean", default: false },
      changed: { type: "boolean", default: false },
      near: { type: "string", multiple: true, default: [] },
    },
  });
  const [suiteName, ...parts] = positionals;
  if (suiteName !== "unit" && suiteName !== "lab" && suiteName !== "nightly")
    throw new Error(`which suite: unit, lab or nightly? (not ${suiteName ?? "none"})`);
  const suite = SUITES[suiteName];
  const near = values.changed ? changedFiles() : values.near;
  const isNear = values.changed || near.length > 0;
  if (values.build && !isNear) build();
  const files = isNear ? await nearFiles(near, parts) : await testFiles(suiteName, parts);
  if (isNear && files.length === 0) return 0;
  const concurrency = numberAbove0(values.concurrency, suite.concurrency, "concurrency");
  const slowness = machineSlowness();
  if (slowness >= TOLD_FROM) print(`this machine is busy: waits are ${slowness.toFixed(1)} times as long`);
  const timeoutMs =
    numberAbove0(values.timeout, isNear ? NEAR_LIMIT_SECONDS : suite.timeoutSeconds, "timeout") *
    slowness *
    1000;

  const startedAt = performance.now();
  // What it saves a few files is less than it costs.
  if (!isNear) warmUp();
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  // Short: socket paths inside it may not be longer than some 100 bytes.
  const temporary = await makeRunFolder();
  // What a test gives to another user lies below; nobody may list it.
  await chmod(temporary, 0o711);
  const token = path.basename(temporary).replaceAll("-", "");
  const outside = new Outside(temporary);
  await outside.begin();
  const strictSkips = process.env["CI"] === "true";
  const startsBuilt = await isBuildFresh();
  const results: FileResult[] = [];
  // Where a few are asked for, each has its own line.
  const alone = suiteName !== "unit" || parts.length > 0 || values.name.length > 0;
  const groups = alone ? files.map((file) => [file]) : together(files);
  const waiting = (isNear ? dealt(files, NEAR_PROCESSES) : groups).entries();
  /** Whoever waits for an answer has one with the first failure. */
  const answered = new AbortController();
  const worker = async (): Promise<void> => {
    for (const [index, group] of waiting) {
      if (stop.signal.aborted) return;
      const mark: Mark = { folder: path.join(temporary, String(index)), token: `${token}n${index}` };
      const result = await runFiles(group, mark, {
        namePatterns: values.name,
        timeoutMs,
        forMs: isNear ? nearForMs() : null,
        strictSkips,
        startsBuilt,
        slowness,
        signal: AbortSignal.any([stop.signal, answered.signal]),
      });
      if (answered.signal.aborted) return;
      await outside.notice();
      results.push(result);
      if (isNear && result.outcome.failures.length > 0) answered.abort();
      const left = isNear ? group.filter((file) => !result.outcome.byFile.has(file)) : [];
      if (left.length > 0) print(`left out: ${left.join(", ")}`);
      if (result.outcome.failures.length > 0)
        await tellFailed(failedFiles(suiteName, group, result.outcome, loadavg()));
      const skipsFile = process.env[SKIPS_VARIABLE];
      if (skipsFile !== undefined)
        await appendFile(
          skipsFile,
          filesOfSkips(group, result.outcome)
            .map((file) => `${file}\n`)
            .join(""),
        );
      report(result, values.verbose);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.floor(concurrency)) }, worker));
  const { strays, isShared } = await outside.end(results.map(({ played }) => played));
  for (const { path: stray, suspects } of strays) {
    const during = suspects.length > 0 ? suspects.join(" or ") : "no test file ran";
    print(
      `${isShared ? "note" : "FAIL"}: left outside of the tests' folders: ${stray}, made while ${during}`,
    );
  }
  if (strays.length > 0 && isShared) print("another test run was under way, which may have made them");
  // Not by force: a mount that could not be ended is still below it.
  if ((await findMounts(temporary)).length === 0) await rm(temporary, { recursive: true, force: true });

  if (!isNear) reportSuites(results);
  if (!isNear) reportSlowest(results);
  const sum = (count: (outcome: FileOutcome) => number): number =>
    results.reduce((total, { outcome }) => total + count(outcome), 0);
  const passed = sum((outcome) => outcome.passed);
  const failed = sum((outcome) => outcome.failures.length) + (isShared ? 0 : strays.length);
  const skipped = sum((outcome) => outcome.skipped.length);
  const seconds = `${((performance.now() - startedAt) / 1000).toFixed(1)} s in all`;
  print(isNear ? seconds : `${seconds}, ${files.length} files, ${concurrency} at once`);
  if (stop.signal.aborted) print("interrupted: not all files ran");
  if (passed + failed === 0) print("no test ran");
  print(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  return failed > 0 || passed === 0 || stop.signal.aborted ? 1 : 0;
}

// Whoever reads only the beginning (`| head`) gets that; the run and its exit code go on.
process.stdout.on("error", () => {});
process.exitCode = await main();
