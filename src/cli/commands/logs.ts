// The command `mountaineer logs`.

import { findHomeContext } from "../../config/home-context.ts";
import { daemonLogPath } from "../in-process/open.ts";
import { command } from "../input/command.ts";
import type { AuditFilter } from "../sessions/show-audit.ts";

const DEFAULT_LINES = 100;
const MOST_LINES = 1_000_000;

const OF_AUDIT = { implies: { audit: true } } as const;

const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Wall-clock ms of `8h` (before now), `03:00` (the last one) or a date with an optional time; null: none of them. */
export function sinceTime(text: string, nowMs: number): number | null {
  const [, count, unit = ""] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  if (count !== undefined) return nowMs - Number(count) * (UNITS[unit] ?? 0);
  const [, hour, minute] = /^(\d{1,2}):(\d\d)$/.exec(text) ?? [];
  if (hour !== undefined && minute !== undefined) {
    if (Number(hour) > 23 || Number(minute) > 59) return null;
    const at = new Date(nowMs);
    at.setHours(Number(hour), Number(minute), 0, 0);
    if (at.getTime() > nowMs) at.setDate(at.getDate() - 1);
    return at.getTime();
  }
  // A date without a time is a day here, not in UTC.
  const at = Date.parse(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text);
  return /^\d{4}-/.test(text) && !Number.isNaN(at) ? at : null;
}

export const logsCommand = command("logs", {
  summary: "print the daemon's log, or the audit",
  description: "--audit shows who asked for what, with the outcome, and needs a daemon.",
  examples: {
    "mountaineer logs": "see the newest lines",
    "mountaineer logs -f --share CORE": "watch one share",
    "mountaineer logs --since 8h": "what happened tonight",
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
      about: `maximum number of lines (default: ${DEFAULT_LINES}; with --since all)`,
      read: (text: string) => (/^\d{1,7}$/.test(text) && Number(text) <= MOST_LINES ? Number(text) : null),
      expected: `a whole number from 0 to ${MOST_LINES}`,
    },
    "--since <time>": {
      about: "only what is newer: 8h, 30m, 2d, 03:00, or 2026-01-31T12:00",
      read: (text: string) => sinceTime(text, Date.now()),
      expected: "a span such as 8h, or a time such as 03:00 or 2026-01-31T12:00",
    },
    "--json": "print the lines as in the file: one JSON object each",
  },
  async run(context, options) {
    const lines = options.lines ?? (options.since === null ? DEFAULT_LINES : MOST_LINES);
    const given = { ...options, lines };
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
