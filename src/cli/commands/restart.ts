// The command `mountaineer restart`.

import type { HandOverReport } from "../../api/contract/contract.ts";
import { MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { command, type Signals, type Target } from "../input/command.ts";
import { doneLine, showResult } from "../input/options.ts";
import { callDaemon, findDaemon } from "../sessions/control-session.ts";
import { pollUntil } from "../sessions/poll-until.ts";

/** How long to wait for the new daemon, ms. It is longer than the old daemon's own wait for the new one. */
const SERVES_WITHIN_MS = 120_000;

export const restartCommand = command("restart", {
  takesUrl: true,
  summary: "replace the daemon with a new one, without an outage",
  description:
    "For the service of `mountaineer up`, after an upgrade. The new daemon takes over when its servers are ready: mounts and sessions stay, and the old one finishes its calls (5 s for those of `mountaineer call` and the page). If anything fails before that, the old one stays.",
  examples: { "mountaineer restart": "run the installed version" },
  exits: {
    1: "the new daemon did not take over; the old one continues",
    8: "no daemon runs",
  },
  async run(context) {
    const report = await handOver(context);
    const { to: pid, from, ended } = report;
    const brief = ended === undefined ? "" : `, and ${ended}, which ended as soon as it had taken over`;
    const taken = `version ${printable(report.version)} is in charge (pid ${pid}, before it ${from}${brief})`;
    showResult(context, report, (paint) => [doneLine(paint, taken)]);
  },
});

/**
 * Resolves when a new daemon answers; `ended`: the first one, which has already been replaced. Rejects with
 * `daemon_unreachable`, `handover_failed`.
 */
export async function handOver(
  context: Target & Signals,
): Promise<HandOverReport & { readonly to: number; readonly ended?: number }> {
  const purpose = { intent: "change", so: "so none can hand over" } as const;
  const report = await callDaemon(context, purpose, "handOver", null);
  const to = await untilServed(context, report);
  return { ...report, to, ...(to === report.to ? {} : { ended: report.to }) };
}

/** Resolves with the pid of the new daemon, once it answers. */
async function untilServed(context: Target & Signals, { from }: HandOverReport): Promise<number> {
  const { signal } = context;
  const poll = async (): Promise<number> => {
    // The old daemon may accept the connection and end before the request.
    const found = findDaemon(context).then((daemon) => daemon?.call("status", null, signal));
    const status = await found.catch(recoverFrom("daemon_unreachable", null));
    return status?.global.pid ?? from;
  };
  const pid = await pollUntil({ withinMs: SERVES_WITHIN_MS, signal }, poll, (found) => found !== from);
  if (pid !== from) return pid;
  throw new MountaineerError(
    "handover_failed",
    "the old daemon has handed over, but no new one answers yet",
    {
      hint: "see why: mountaineer doctor, or its log",
      retry: "later",
    },
  );
}
