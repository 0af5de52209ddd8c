// Tells what keeps a test's process from ending, by the report that Node writes about itself on a signal.
import { readFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";

const SIGNAL = "SIGUSR2";
/** A process that is too busy to write its report is ended without one. */
const REPORT_AT_MOST_MS = 5_000;
const POLL_MS = 50;

/** Options for Node: on the signal it writes its report to that file. */
export function reportOptions(reportPath: string): readonly string[] {
  return [
    "--report-on-signal",
    `--report-signal=${SIGNAL}`,
    `--report-filename=${reportPath}`,
    "--report-directory=/",
    "--report-exclude-network",
  ];
}

/** One line for each handle of the event loop that keeps it running; empty when the process says nothing. Never rejects. */
export async function keptAliveBy(pid: number, reportPath: string): Promise<readonly string[]> {
  try {
    process.kill(pid, SIGNAL);
    for (let waitedMs = 0; waitedMs < REPORT_AT_MOST_MS; waitedMs += POLL_MS) {
      const lines = reportedHandles(await readFile(reportPath, "utf8").catch(() => ""));
      if (lines !== null) return lines;
      await wait(POLL_MS);
    }
  } catch {
    // It has ended meanwhile.
  }
  return [];
}

/** null: not a whole report. */
export function reportedHandles(text: string): readonly string[] | null {
  let report: { libuv?: readonly Record<string, unknown>[] };
  try {
    report = JSON.parse(text);
  } catch {
    return null;
  }
  const handles = report.libuv ?? [];
  return handles
    .filter((handle) => handle["is_active"] === true && handle["is_referenced"] === true)
    .map(({ address: _address, is_active: _active, is_referenced: _referenced, ...rest }) =>
      JSON.stringify(rest),
    );
}
