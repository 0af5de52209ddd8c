// The commands that run often, in a build one script.
import type { PlainLine } from "./input/plain-line.ts";
import { runPlainLine } from "./program/plain-commands.ts";
import { run } from "./run.ts";

/** Runs the command and ends the process. */
export function runPlain(args: readonly string[], line: PlainLine): Promise<void> {
  return run(args, async (_args, _streams, contextFor) => runPlainLine(line, contextFor));
}
