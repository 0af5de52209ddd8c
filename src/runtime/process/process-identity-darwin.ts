// The start time of a process on macOS, as `ps` prints it.

import { MountaineerError } from "../errors.ts";
import { runCommand } from "./child-process.ts";

const PS_DEADLINE_MS = 2_000;

/** The start time in UTC, in seconds; null: no such process. Rejects with `timed_out` when ps is late. */
export async function processStartDarwin(pid: number): Promise<string | null> {
  // The language and the time zone are set, because the output of ps depends on them.
  const answer = await runCommand("ps", ["-o", "stat=", "-o", "lstart=", "-p", String(pid)], {
    deadlineMs: PS_DEADLINE_MS,
    env: { LC_ALL: "C", TZ: "UTC" },
  });
  if (answer.timedOut) throw new MountaineerError("timed_out", "ps gave no answer", { retry: "later" });
  return parsePs(answer.stdout);
}

/** The start time in a line `STAT LSTART`, with single spaces; null for a zombie or an empty output. */
export function parsePs(output: string): string | null {
  const [state, ...start] = output.trim().split(/\s+/u);
  if (state === undefined || state === "" || state.startsWith("Z") || start.length === 0) return null;
  return start.join(" ");
}
