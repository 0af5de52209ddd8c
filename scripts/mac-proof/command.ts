// Runs a program of the system for the proof, with a deadline; a program that is not there is an answer, too.
import { errorText } from "../../src/runtime/errors.ts";
import { runCommand } from "../../src/runtime/process/child-process.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";

export interface Answer {
  /** null: it did not end by itself, or could not be started. */
  readonly code: number | null;
  readonly output: string;
  readonly tookMs: number;
}

const WITHIN_MS = 60_000;
/** A dry run on another system says here that this is a Mac. */
const { NODE_OPTIONS } = process.env;
const PASSED_ON = NODE_OPTIONS === undefined ? {} : { NODE_OPTIONS };

/** Never rejects. `env`: added to the few variables that each program gets. */
export async function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  deadlineMs = WITHIN_MS,
): Promise<Answer> {
  try {
    const limits = { clock: systemClock, deadlineMs, env: { ...PASSED_ON, ...env } };
    const { exitCode, stdout, stderr, tookMs } = await runCommand(program, args, limits);
    return { code: exitCode, output: `${stdout}${stderr}`.trim(), tookMs: Math.round(tookMs) };
  } catch (error) {
    return { code: null, output: errorText(error), tookMs: 0 };
  }
}

/** Resolves with what `look` finds, and after how many milliseconds; null when that took longer than `withinMs`. */
export async function until<T>(
  look: () => Promise<T | null>,
  withinMs: number,
): Promise<{ readonly found: T; readonly ms: number } | null> {
  const startedAtMs = systemClock.monotonicMs();
  for (;;) {
    const found = await look();
    const ms = Math.round(systemClock.monotonicMs() - startedAtMs);
    if (found !== null) return { found, ms };
    if (ms > withinMs) return null;
    await systemClock.sleep(5);
  }
}
