// Runs the failed test files of a `.ci/run` again, after all others, and prints the resulting totals.
// Usage: bin/with-node scripts/test-replay.ts FAILURES-FILE PASSED FAILED SKIPPED. Ends with the totals in one line.
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { FileOutcome } from "./test-outcome.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
const LIST = ".ci/flaky";
const MOST_REPLAYED = 3;

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

/** Why the files may not be replayed; null: they may. `listed`: files that passed only in a replay before. */
export function refusal(failed: readonly FailedFiles[], listed: readonly string[]): string | null {
  if (failed.length > MOST_REPLAYED)
    return `${failed.length} test files failed, and no more than ${MOST_REPLAYED} are played again`;
  const known = failed.flatMap(({ files }) => files).filter((file) => listed.includes(file));
  return known.length === 0 ? null : `${known.join(", ")} failed before and stands in ${LIST}: mend it`;
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

/** The names in the list of files that passed only in a replay. The rest of each line says when and how. */
export function listedFiles(text: string): string[] {
  return text.split("\n").flatMap((line) => /^(test\/\S+)/.exec(line)?.[1] ?? []);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function play(suite: string, files: readonly string[]): Promise<Totals | null> {
  const args = [path.join(import.meta.dirname, "test.ts"), suite, ...files, "--concurrency", "1"];
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
  const refused = refusal(failed, listedFiles(await readFile(path.join(ROOT, LIST), "utf8")));
  if (refused !== null)
    print(`\nFAILED, and not played again: ${refused}\n${failed.map(describe).join("\n\n")}`);
  const end = refused === null ? await replay(failed, totals, play) : { totals, flaky: [] };
  if (end.flaky.length > 0) {
    const mend = `Mend the cause, or name it in ${LIST}, which lets it fail no second time.`;
    print(`\nFLAKY: passed when replayed. ${mend}\n${end.flaky.map(describe).join("\n\n")}`);
  }
  print(`${end.totals.passed} passed, ${end.totals.failed} failed, ${end.totals.skipped} skipped`);
}

if (process.argv[1] === import.meta.filename) {
  const [failuresFile = "", ...counts] = process.argv.slice(2);
  const [passed = 0, failed = 0, skipped = 0] = counts.map(Number);
  await main(failuresFile, { passed, failed, skipped });
}
