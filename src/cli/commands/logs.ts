// The command `mountaineer logs`.
import { InvalidArgumentError } from "commander";
import { findPlace } from "../../config/locate.ts";
import type { CommandDefinition } from "../input/command.ts";
import { readFlag, readText } from "../input/options.ts";

const DEFAULT_LINES = 100;
const MOST_LINES = 1_000_000;

export const logsCommand: CommandDefinition = {
  name: "logs",
  summary: "print what the daemon has logged",
  description:
    "The newest lines of its log file, and of the one that was rotated away where that has too few. Needs no daemon. " +
    "-f goes on with what is logged from now on, over rotations, until Ctrl-C.",
  examples: [
    { command: "mountaineer logs", does: "see what happened last" },
    { command: "mountaineer logs -f --share CORE", does: "watch one share" },
    {
      command: `mountaineer logs --lines 10000 --json | jq -r 'select(.level == "error") | .message'`,
      does: "what went wrong",
    },
  ],
  exits: { 0: "also when Ctrl-C ended -f", 2: "neither the configuration nor the log knows the share" },
  addOptions(command) {
    command
      .option("-f, --follow", "go on with what is logged from now on")
      .option("--share <name>", "only what is about this share")
      .option("--lines <number>", `how many lines there are at most (default: ${DEFAULT_LINES})`, parseLines);
    command.option("--json", "print the lines as they are in the file: a JSON object each");
  },
  async run(context, options) {
    const { daemonLogPath } = await import("../in-process/open.ts");
    const { showLog } = await import("../sessions/show-log.ts");
    const { home } = context;
    const { userHome } = findPlace(process.env);
    const { lines } = options;
    await showLog(context, {
      path: await daemonLogPath(home, userHome),
      share: readText(options, "share"),
      lines: typeof lines === "number" ? lines : DEFAULT_LINES,
      follow: readFlag(options, "follow"),
      json: readFlag(options, "json"),
    });
    return 0;
  },
};

function parseLines(text: string): number {
  const lines = /^\d{1,7}$/.test(text) ? Number(text) : Number.NaN;
  if (lines <= MOST_LINES) return lines;
  throw new InvalidArgumentError(`It is a whole number from 0 to ${MOST_LINES}.`);
}
