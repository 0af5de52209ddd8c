// The commands that run often, in a build one script.
import type { PlainLine } from "./input/plain-line.ts";
import { runPlainLine } from "./program/plain-commands.ts";
import { run } from "./run.ts";

/** Runs the command and ends the process. `keepCompiledCode` is called once it has run. */
export function runPlain(
  args: readonly string[],
  line: PlainLine,
  keepCompiledCode: () => void,
): Promise<void> {
  return run(args, async (_args, _streams, contextFor) => {
    const exitCode = await runPlainLine(line, contextFor);
    keepCompiledCode();
    return exitCode;
  });
}
