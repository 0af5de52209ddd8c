// The command `mountaineer logs`.

import { findHomeContext } from "../../config/home-context.ts";
import { daemonLogPath } from "../in-process/open.ts";
import { command } from "../input/command.ts";
import type { AuditFilter } from "../sessions/show-audit.ts";

const DEFAULT_LINES = 100;
const MOST_LINES = 1_000_000;

const OF_AUDIT = { implies: { audit: true } } as const;

export const logsCommand = command("logs", {
  summary: "print the daemon's log, or the audit",
  description: "--audit shows who asked for what, with the outcome, and needs a daemon.",
  examples: {
    "mountaineer logs": "see the newest lines",
    "mountaineer logs -f --share CORE": "watch one share",
    "mountaineer logs --audit --outcome denied": "see which calls were denied",
    [`mountaineer logs --lines 10000 --json | jq -r 'select(.level == "error") | .message'`]:
      "what went wrong",
  },
  exits: {
    0: "also when Ctrl-C ended -f",
    2: "there is no such share, or nothing is audited",
    8: "--audit: no daemon runs",
  },
  takesUrl: true,
  takes: {
    "-f, --follow": "follow the log: print new lines as they come",
    "--share <name>": { about: "only lines about this share", completes: "shares", conflicts: ["audit"] },
    "--audit": "the records of the audit",
    "--backend <name>": { about: "only calls of this server", completes: "backends", ...OF_AUDIT },
    "--tool <name>": { about: "only calls of this tool", ...OF_AUDIT },
    "--principal <name>": { about: "only what this user asked for", ...OF_AUDIT },
    "--outcome <outcome>": {
      about: "only records with this outcome: ok, tool_error, denied, cancelled, error, refused",
      ...OF_AUDIT,
    },
    "--lines <number>": {
      about: `maximum number of lines (default: ${DEFAULT_LINES})`,
      read: (text: string) => (/^\d{1,7}$/.test(text) && Number(text) <= MOST_LINES ? Number(text) : null),
      expected: `a whole number from 0 to ${MOST_LINES}`,
      otherwise: DEFAULT_LINES,
    },
    "--json": "print the lines as in the file: one JSON object each",
  },
  async run(context, given) {
    if (given.audit) {
      const { showAudit } = await import("../sessions/show-audit.ts");
      await showAudit(context, { ...given, filter: auditFilter(given) });
      return;
    }
    const { showLog } = await import("../sessions/show-log.ts");
    const { userHome } = findHomeContext(process.env);
    await showLog(context, { ...given, path: await daemonLogPath(context.home, userHome) });
  },
});

function auditFilter(given: Readonly<Record<keyof AuditFilter, string | null>>): AuditFilter {
  const { backend, tool, principal, outcome } = given;
  return {
    ...(backend === null ? {} : { backend }),
    ...(tool === null ? {} : { tool }),
    ...(principal === null ? {} : { principal }),
    ...(outcome === null ? {} : { outcome }),
  };
}
