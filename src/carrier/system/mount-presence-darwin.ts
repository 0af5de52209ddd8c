// Looks a mount up in what `mount` prints on macOS, by its path.

import { MountaineerError } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { CarriedMount } from "../carrier.ts";

const DEADLINE_MS = 2_000;

export async function isMountedDarwin({ path }: CarriedMount): Promise<boolean> {
  const answer = await runCommand("/sbin/mount", [], { clock: systemClock, deadlineMs: DEADLINE_MS });
  if (answer.timedOut || answer.exitCode !== 0)
    throw new MountaineerError("timed_out", "the mounts cannot be listed", { retry: "later" });
  return answer.stdout.split("\n").some((line) => line.includes(` on ${path} (`));
}
