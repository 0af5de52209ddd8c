// Looks up a route on Linux, with `ip`.

import { MountaineerError } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { parseIpRoute, type RouteLookup } from "./route-output.ts";

const DEADLINE_MS = 2_000;

export async function lookUpRouteLinux(
  address: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<RouteLookup> {
  try {
    const [plain = address] = address.split("%");
    const result = await runCommand("ip", ["-json", "route", "get", plain], {
      clock,
      deadlineMs: DEADLINE_MS,
      signal,
    });
    if (result.exitCode === 0) return parseIpRoute(result.stdout);
    return /unreachable|No route/i.test(result.stderr)
      ? { kind: "none" }
      : { kind: "unknown", why: result.stderr.trim() || `ip ended with ${result.exitCode}` };
  } catch (error) {
    if (error instanceof MountaineerError && error.code === "program_unavailable") {
      return { kind: "unknown", why: error.message };
    }
    throw error;
  }
}
