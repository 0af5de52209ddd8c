// Runs the failed test files of a `.ci/run` again, after all others, records those that passed only then, and prints the
// resulting totals.
// Usage: bin/with-node scripts/test-replay.ts FAILURES-FILE PASSED FAILED SKIPPED. Ends with the totals in one line.
import { spawn } from "node:child_process";
import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { FileOutcome } from "./test-outcome.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
/** A line for each run of `.ci/run`: when it began, then each test file that passed only in its replay. */
const RECORD = ".tmp/replays";
/** A busy machine stalls for seconds, and each test file that runs then may fail. */
const MOST_REPLAYED = 10;
/** A file that passed only in the replays of so many of the runs on record is not replayed once more. */
const MOST_RUNS = 2;
/** The run under way and those before it. */
const RUNS_ON_RECORD = 30;

/** The suite of files that failed in a bare machine (`bare-machine.ts`), whose folder MOUNTAINEER_BARE_MACHINE names. */
export const BARE_SUITE = "bare";

/** Names a file to which a run appends what failed, a `FailedFiles` a line. */
export const FAILURES_VARIABLE = "MOUNTAINEER_TEST_FAILURES";

/** Appends them to that file, if the run has one. */
export async function tellFailed(failed: readonly FailedFiles[]): Promise<void> {
  const file = process.env[FAILURES_VARIABLE];
  if (file !== undefined) await appendFile(file, failed.map((one) => `${JSON.stringify(one)}\n`).join(""));
}

/** The suite of Go packages, whose `files` are packages. */
export function goSuite(isRace: boolean): string {
  return isRace ? "go --race" : "go";
}

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** A failed test file and its counts; several files if they shared a process and the failure could not be attributed. */
export interface FailedFiles {
  readonly suite: string;
  readonly files: readonly string[];
  readonly counted: Totals;
  readonly failures: readonly string[];
  /** The load averages of 1, 5 and 15 minutes at the failure. */
  readonly load: readonly number[];
}

/** `files`: the files of one process, which ended with `outcome`. */
export function failedFiles(
  suite: string,
  files: readonly string[],
  { passed, skipped, failures, byFile }: FileOutcome,
  load: readonly number[],
): FailedFiles[] {
  const failed = [...byFile].filter(([, counts]) => counts.failures.length > 0);
  const told = failed.reduce((sum, [, counts]) => sum + counts.failures.length, 0);
  if (told < failures.length) {
    const counted = { passed, failed: failures.length, skipped: skipped.length };
    return [{ suite, files, counted, failures, load }];
  }
  return failed.map(([file, counts]) => {
    const counted = { passed: counts.passed, failed: counts.failures.length, skipped: counts.skipped };
    return { suite, files: [file], counted, failures: counts.failures, load };
  });
}

/** Why the files may not be replayed; null: they may. `record`: the text of `.tmp/replays`. */
export function refusal(failed: readonly FailedFiles[], record: string): string | null {
  if (failed.length > MOST_REPLAYED)
    return `${failed.length} test files failed, and no more than ${MOST_REPLAYED} are played again`;
  const runs = runsIn(record);
  const often = failed
    .flatMap(({ files }) => files)
    .filter((file) => runs.filter((run) => run.includes(file)).length >= MOST_RUNS);
  if (often.length === 0) return null;
  return `${often.join(", ")} passed only when replayed in ${MOST_RUNS} of the last ${RUNS_ON_RECORD} runs (${RECORD}): mend it`;
}

/** The record of the newest runs, with those files as replayed in the last one. */
export function recorded(record: string, replayed: readonly string[]): string {
  const runs = runsIn(record);
  const now = runs.pop() ?? [new Date().toISOString()];
  return [...runs, [...new Set([...now, ...replayed])]].map((run) => `${run.join(" ")}\n`).join("");
}

function runsIn(record: string): string[][] {
  const lines = record.split("\n").filter((line) => line !== "");
  return lines.slice(-RUNS_ON_RECORD).map((line) => line.split(" "));
}

/**
 * The final counts of the run: those of the replay for a file that passes in it, else those of the first run. `play`
 * resolves with the replay's counts, or null if it did not end normally.
 */
export async function replay(
  failed: readonly FailedFiles[],
  totals: Totals,
  play: (suite: string, files: readonly string[]) => Promise<Totals | null>,
): Promise<{ readonly totals: Totals; readonly flaky: readonly FailedFiles[] }> {
  let { passed, failed: bad, skipped } = totals;
  const flaky: FailedFiles[] = [];
  for (const one of failed) {
    const again = await play(one.suite, one.files);
    if (again === null || again.failed > 0 || again.passed === 0) continue;
    flaky.push(one);
    passed += again.passed - one.counted.passed;
    bad -= one.counted.failed;
    skipped += again.skipped - one.counted.skipped;
  }
  return { totals: { passed, failed: bad, skipped }, flaky };
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function replayCommand(suite: string, files: readonly string[]): string[] {
  const here = (script: string): string => path.join(import.meta.dirname, script);
  if (suite.startsWith("go")) return [here("mount.ts"), "--test", ...suite.split(" ").slice(1), ...files];
  if (suite !== BARE_SUITE) return [here("test.ts"), suite, ...files, "--concurrency", "1"];
  const again = `bin/with-node scripts/test.ts unit ${files.join(" ")} --concurrency 1`;
  return [here("bare-machine.ts"), "run", process.env["MOUNTAINEER_BARE_MACHINE"] ?? "", again];
}

function play(suite: string, files: readonly string[]): Promise<Totals | null> {
  const args = replayCommand(suite, files);
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
    process.stdout.write(chunk);
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      const line = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(
        output.trimEnd().split("\n").at(-1) ?? "",
      );
      const [, passed, failed, skipped = "0"] = line ?? [];
      if (code !== 0 || line === null) resolve(null);
      else resolve({ passed: Number(passed), failed: Number(failed), skipped: Number(skipped) });
    });
  });
}

function describe({ files, failures, load }: FailedFiles): string {
  const lines = [
    `${files.join(", ")} failed at a load of ${load.map((one) => one.toFixed(1)).join(", ")}:`,
    ...failures.map((failure) => failure.replace(/^(?=.)/gm, "    ")),
  ];
  return lines.join("\n");
}

async function main(failuresFile: string, totals: Totals): Promise<void> {
  const failed = (await readFile(failuresFile, "utf8"))
    .split("\n")
    .filter((line) => line !== "")
    .map((line): FailedFiles => JSON.parse(line));
  const file = path.join(ROOT, RECORD);
  const record = await readFile(file, "utf8").catch(() => "");
  const refused = refusal(failed, record);
  if (refused !== null)
    print(`\nFAILED, and not played again: ${refused}\n${failed.map(describe).join("\n\n")}`);
  const end = refused === null ? await replay(failed, totals, play) : { totals, flaky: [] };
  if (end.flaky.length > 0) {
    const mend = `Mend the cause: at the third time in ${RUNS_ON_RECORD} runs it fails.`;
    print(`\nFLAKY: passed when replayed. ${mend}\n${end.flaky.map(describe).join("\n\n")}`);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(
      file,
      recorded(
        record,
        end.flaky.flatMap(({ files }) => files),
      ),
    );
  }
  print(`${end.totals.passed} passed, ${end.totals.failed} failed, ${end.totals.skipped} skipped`);
}

if (process.argv[1] === import.meta.filename) {
  const [failuresFile = "", ...counts] = process.argv.slice(2);
  const [passed = 0, failed = 0, skipped = 0] = counts.map(Number);
  await main(failuresFile, { passed, failed, skipped });
}
