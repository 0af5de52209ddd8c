// Programs at work on a share: started, ended by their pid, and what their logs tell.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { eventually } from "../support/eventually.ts";
import type { WorkLine } from "./programs/work-log.ts";

export interface Program extends AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  /** What it has done so far, oldest first. */
  lines(): Promise<readonly WorkLine[]>;
  /** SIGTERM; resolves with everything it did once it has ended by itself, and rejects when it ended otherwise. */
  stop(): Promise<readonly WorkLine[]>;
  /** SIGKILL; resolves when it is gone. */
  kill9(deadlineMs: number): Promise<void>;
}

const PROGRAMS = path.join(import.meta.dirname, "programs");
/** An operation may wait as long as shares do for a route. */
const ENDS_MS = 90_000;
const STARTS_MS = 30_000;
const ENVIRONMENT = {
  GIT_AUTHOR_NAME: "Lab",
  GIT_AUTHOR_EMAIL: "lab@example.invalid",
  GIT_COMMITTER_NAME: "Lab",
  GIT_COMMITTER_EMAIL: "lab@example.invalid",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_SYSTEM: "/dev/null",
  GIT_CONFIG_COUNT: "1",
  GIT_CONFIG_KEY_0: "gc.auto",
  GIT_CONFIG_VALUE_0: "0",
};

/** Where a program runs. */
export interface ProgramPlace {
  /** An argv prefix, as a rig's `enter`. */
  readonly enter?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Resolves when it has done its first operation. */
export async function startProgram(
  folder: string,
  name: string,
  program: string,
  args: readonly string[],
  { enter = [], env = {} }: ProgramPlace = {},
): Promise<Program> {
  await mkdir(folder, { recursive: true });
  const log = path.join(folder, `${name}.log`);
  const output = path.join(folder, `${name}.out`);
  const written = openSync(output, "a");
  const script = path.join(PROGRAMS, program);
  const argv = [...enter, process.execPath, "--disable-warning=ExperimentalWarning", script, log, ...args];
  const child = spawn(argv[0] ?? process.execPath, argv.slice(1), {
    cwd: "/",
    env: { ...process.env, ...ENVIRONMENT, ...env },
    stdio: ["ignore", written, written],
  });
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(String(error)));
    child.once("exit", (code, signal) => resolve(String(code ?? signal)));
  });
  const said = async (): Promise<string> => (await readFile(output, "utf8")).trim().slice(-1000);
  const lines = async (): Promise<readonly WorkLine[]> =>
    parseLines(await readFile(log, "utf8").catch(() => ""));
  const within = async (deadlineMs: number): Promise<string> => {
    const late = new AbortController();
    const timeout = new Promise<string>((resolve) => {
      const timer = setTimeout(() => resolve("late"), deadlineMs);
      late.signal.addEventListener("abort", () => clearTimeout(timer));
    });
    const end = await Promise.race([ended, timeout]);
    late.abort();
    return end;
  };
  const kill9 = async (deadlineMs: number): Promise<void> => {
    child.kill("SIGKILL");
    const end = await within(deadlineMs);
    if (end === "late") throw new Error(`${name} is not gone ${deadlineMs} ms after SIGKILL`);
  };
  try {
    await eventually(async () => {
      if (child.exitCode !== null) return true;
      return (await lines()).length > 0;
    }, STARTS_MS);
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}: ${await said()}`);
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  return {
    name,
    pid: child.pid ?? 0,
    lines,
    kill9,
    async stop() {
      child.kill("SIGTERM");
      const end = await within(ENDS_MS);
      if (end === "late") child.kill("SIGKILL");
      const done = await lines();
      assert.equal(end, "0", `${name} ended with ${end}: ${await said()} ${JSON.stringify(done.slice(-4))}`);
      return done;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) await kill9(ENDS_MS);
    },
  };
}

function parseLines(text: string): readonly WorkLine[] {
  // What follows the last line's end is a line that is being written.
  return text
    .split("\n")
    .slice(0, -1)
    .map((line): WorkLine => JSON.parse(line));
}

/** The values of what was acknowledged, in order. */
export function acknowledged(lines: readonly WorkLine[], operation: string): readonly number[] {
  return lines.flatMap((line) => (line.operation === operation && line.error === null ? [line.value] : []));
}

export function failures(lines: readonly WorkLine[]): readonly WorkLine[] {
  return lines.filter(({ error }) => error !== null);
}

/** The longest operation that ended in the span, ms: one that outlasts a span is of the move that came meanwhile, too. */
export function longestEndingIn(lines: readonly WorkLine[], fromMs: number, toMs: number): number {
  return lines
    .filter((line) => line.toMs >= fromMs && line.toMs < toMs)
    .reduce((longest, line) => Math.max(longest, line.toMs - line.fromMs), 0);
}

/** The value below which that part of all lie. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)] ?? 0;
}
