// Checks the machine's clock.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { DoctorFinding } from "../api/doctor-report.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { findingsOf } from "./context.ts";

/** No version of this program is older. */
const EARLIEST_MS = Date.UTC(2026, 0, 1);
const BEHIND_MS = 60_000;

const finding = findingsOf("clock");

/** Against the program's age, and against what the daemon last wrote here. */
export async function examineClock(home: string, clock: Clock): Promise<DoctorFinding> {
  const now = clock.wallMs();
  const hint = "set it, or switch on the network's time: servers and tokens refuse who is far off";
  if (now < EARLIEST_MS) {
    return finding("error", "clock_wrong", `the clock says ${new Date(now).toISOString()}`, { hint });
  }
  const written = await stat(join(home, "state.json")).catch(() => null);
  if (written !== null && written.mtimeMs - now > BEHIND_MS) {
    const text = `the clock says ${new Date(now).toISOString()}, and state.json was written at ${written.mtime.toISOString()}`;
    return finding("warning", "clock_behind", text, { hint });
  }
  return finding("ok", "clock", `the clock says ${new Date(now).toISOString()}`);
}
