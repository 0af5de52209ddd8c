// The command `mountaineer logs`.

import { findPlace } from "../../config/locate.ts";
import { daemonLogPath } from "../in-process/open.ts";
import { command } from "../input/command.ts";

const DEFAULT_LINES = 100;
const MOST_LINES = 1_000_000;

export const logsCommand = command("logs", {
  summary: "print what the daemon has logged",
  description:
    "The newest lines of its log file, and of the one that was rotated away where that has too few. Needs no daemon. " +
    "-f goes on with what is logged from now on, over rotations, until Ctrl-C.",
  examples: {
    "mountaineer logs": "see what happened last",
    "mountaineer logs -f --share CORE": "watch one share",
    [`mountaineer logs --lines 10000 --json | jq -r 'select(.level == "error") | .message'`]:
      "what went wrong",
  },
  exits: { 0: "also when Ctrl-C ended -f", 2: "neither the configuration nor the log knows the share" },
  takes: {
    "-f, --follow": "go on with what is logged from now on",
    "--share <name>": { about: "only what is about this share", completes: "shares" },
    "--lines <number>": {
      about: `how many lines there are at most (default: ${DEFAULT_LINES})`,
      read: (text: string) => (/^\d{1,7}$/.test(text) && Number(text) <= MOST_LINES ? Number(text) : null),
      expected: `a whole number from 0 to ${MOST_LINES}`,
      otherwise: DEFAULT_LINES,
    },
    "--json": "print the lines as they are in the file: a JSON object each",
  },
  async run(context, given) {
    const { showLog } = await import("../sessions/show-log.ts");
    const { userHome } = findPlace(process.env);
    await showLog(context, { ...given, path: await daemonLogPath(context.home, userHome) });
  },
});
