// Which command a command line runs. The code of each is loaded on demand.
import { systemClock } from "../runtime/time/clock.ts";
import { runPlainCommand } from "./program/plain-commands.ts";
import type { Dispatch } from "./run.ts";

export const dispatch: Dispatch = async (args, { stdout, stderr }, contextFor) => {
  const configOption = readConfigOption(args);
  if (configOption !== undefined) {
    const { showFirstPage } = await import("./first-page.ts");
    return showFirstPage(await contextFor(configOption));
  }
  if (args[0] === "__complete") {
    const { complete } = await import("./program/complete.ts");
    return complete(args.slice(1), { ...(await contextFor(null)), clock: systemClock });
  }
  const plainly = await runPlainCommand(args, contextFor);
  if (plainly !== null) return plainly;
  const { parseAndRun } = await import("./program/program.ts");
  return parseAndRun(args, {
    makeContext: contextFor,
    print: (text) => void stdout.write(text),
    complain: (text) => void stderr.write(text),
  });
};

/**
 * Returns the file of `--config` if the line has nothing else; null for an empty line, undefined for any other line.
 */
function readConfigOption(args: readonly string[]): string | null | undefined {
  const [first, second, ...more] = args;
  if (first === undefined) return null;
  if (first === "--config" && second !== undefined && more.length === 0) return second;
  return first.startsWith("--config=") && second === undefined ? first.slice("--config=".length) : undefined;
}
