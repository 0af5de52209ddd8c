// Looks up a route on macOS, with `route`.

import { MountaineerError } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { parseRouteGet, type RouteLookup } from "./route-output.ts";

const DEADLINE_MS = 2_000;

export async function lookUpRouteDarwin(
  address: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<RouteLookup> {
  try {
    const family = address.includes(":") ? ["-inet6"] : [];
    const result = await runCommand("/sbin/route", ["-n", "get", ...family, address], {
      clock,
      deadlineMs: DEADLINE_MS,
      signal,
    });
    if (result.exitCode === 0) return parseRouteGet(result.stdout);
    return /not in table/i.test(result.stderr)
      ? { kind: "none" }
      : { kind: "unknown", why: result.stderr.trim() || `route ended with ${result.exitCode}` };
  } catch (error) {
    if (error instanceof MountaineerError && error.code === "program_unavailable") {
      return { kind: "unknown", why: error.message };
    }
    throw error;
  }
}
