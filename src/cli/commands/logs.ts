// The command `mountaineer logs`.

import { findPlace } from "../../config/locate.ts";
import { daemonLogPath } from "../in-process/open.ts";
import { command } from "../input/command.ts";

const DEFAULT_LINES = 100;
const MOST_LINES = 1_000_000;

export const logsCommand = command("logs", {
  summary: "print the daemon's log",
  description:
    "The newest lines of its log file, and of the previous one if the current file has too few. Needs no daemon. " +
    "-f then follows the log, across rotations, until Ctrl-C.",
  examples: {
    "mountaineer logs": "see the newest lines",
    "mountaineer logs -f --share CORE": "watch one share",
    [`mountaineer logs --lines 10000 --json | jq -r 'select(.level == "error") | .message'`]:
      "what went wrong",
  },
  exits: { 0: "also when Ctrl-C ended -f", 2: "the share is neither in the configuration nor in the log" },
  takes: {
    "-f, --follow": "follow the log: print new lines as they come",
    "--share <name>": { about: "only lines about this share", completes: "shares" },
    "--lines <number>": {
      about: `maximum number of lines (default: ${DEFAULT_LINES})`,
      read: (text: string) => (/^\d{1,7}$/.test(text) && Number(text) <= MOST_LINES ? Number(text) : null),
      expected: `a whole number from 0 to ${MOST_LINES}`,
      otherwise: DEFAULT_LINES,
    },
    "--json": "print the lines as in the file: one JSON object each",
  },
  async run(context, given) {
    const { showLog } = await import("../sessions/show-log.ts");
    const { userHome } = findPlace(process.env);
    await showLog(context, { ...given, path: await daemonLogPath(context.home, userHome) });
  },
});
