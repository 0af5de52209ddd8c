// What one part of the proof on a Mac found: printed, kept as a file of the run's artifact, and, where something is not as
// expected, a line on the run's first page that says what to do about it.
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { errorText } from "../../src/runtime/errors.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";

/** Where the artifact's files lie. */
const FOLDER = process.env["MAC_PROOF_REPORTS"] ?? path.resolve(import.meta.dirname, "../../.tmp/mac-proof");

export interface Report {
  /** What was seen or measured, be it right or wrong. */
  note(text: string): void;
  /** `advice`: what a reader without a Mac can do when it does not hold. */
  check(holds: boolean, expected: string, came: string, advice: string): void;
}

/** Plays a part to its end; the process fails if a check did, or if the part broke off. */
export async function prove(part: string, play: (report: Report) => Promise<void>): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  const file = path.join(FOLDER, `${part}.txt`);
  writeFileSync(file, "");
  const startedAtMs = systemClock.monotonicMs();
  let failed = 0;
  const print = (text: string): void => {
    const line = `${Math.round(systemClock.monotonicMs() - startedAtMs)
      .toString()
      .padStart(6)} ms  ${text.trimEnd()}\n`;
    // At once: what is printed is all that a part tells that hangs.
    appendFileSync(file, line);
    process.stdout.write(line);
  };
  const fail = (text: string): void => {
    failed++;
    print(`FAILED  ${text}`);
    if (process.env["GITHUB_ACTIONS"] !== undefined)
      process.stdout.write(`::error title=${part}::${text.replaceAll("%", "%25").replaceAll("\n", "%0A")}\n`);
  };
  try {
    await play({
      note: (text) => print(`        ${text}`),
      check(holds, expected, came, advice) {
        if (holds) print(`ok      ${expected}: ${came}`);
        else fail(`expected: ${expected}. It was: ${came}. What to do: ${advice}`);
      },
    });
  } catch (error) {
    fail(
      `it broke off: ${errorText(error)}. What to do: read the lines above it; the last one names the step`,
    );
  }
  print(failed === 0 ? `proved: ${part}` : `${failed} not as expected: ${part}`);
  // Native calls that hang would keep the process.
  process.exit(failed === 0 ? 0 : 1);
}
