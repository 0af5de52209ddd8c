// Reports what keeps a test's process from ending, from the diagnostic report that Node writes on a signal.
import { readFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";

const SIGNAL = "SIGUSR2";
/** A process that is too busy to write its report in this time is ended without a report. */
const REPORT_AT_MOST_MS = 5_000;
const POLL_MS = 50;

/** Node options that write the report to this file on the signal. */
export function reportOptions(reportPath: string): readonly string[] {
  return [
    "--report-on-signal",
    `--report-signal=${SIGNAL}`,
    `--report-filename=${reportPath}`,
    "--report-directory=/",
    "--report-exclude-network",
  ];
}

/** One line for each handle that keeps the event loop running; empty without a report. Never rejects. */
export async function keptAliveBy(pid: number, reportPath: string): Promise<readonly string[]> {
  try {
    process.kill(pid, SIGNAL);
    for (let waitedMs = 0; waitedMs < REPORT_AT_MOST_MS; waitedMs += POLL_MS) {
      const lines = reportedHandles(await readFile(reportPath, "utf8").catch(() => ""));
      if (lines !== null) return lines;
      await wait(POLL_MS);
    }
  } catch {
    // The process has ended meanwhile.
  }
  return [];
}

/** null: the report is incomplete. */
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
