// A process's start time on macOS, as `ps` prints it.

import { MountaineerError } from "../errors.ts";
import { systemClock } from "../time/clock.ts";
import { runCommand } from "./child-process.ts";

const PS_DEADLINE_MS = 2_000;

/** The start in UTC to the second; null when no such process runs. Rejects with `timed_out` when ps is late. */
export async function processStartDarwin(pid: number): Promise<string | null> {
  // The language and the time zone change what ps prints, so both are pinned.
  const answer = await runCommand("ps", ["-o", "stat=", "-o", "lstart=", "-p", String(pid)], {
    clock: systemClock,
    deadlineMs: PS_DEADLINE_MS,
    env: { LC_ALL: "C", TZ: "UTC" },
  });
  if (answer.timedOut) throw new MountaineerError("timed_out", "ps gave no answer", { retry: "later" });
  return parsePs(answer.stdout);
}

/** The start time in `STAT LSTART`, spaces folded; null for a zombie or no line. */
export function parsePs(output: string): string | null {
  const [state, ...start] = output.trim().split(/\s+/u);
  if (state === undefined || state === "" || state.startsWith("Z") || start.length === 0) return null;
  return start.join(" ");
}
