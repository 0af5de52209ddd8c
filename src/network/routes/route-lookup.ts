// The interface by which the system sends to an address, by the platform's command.
import { basename } from "node:path";
import { MountaineerError } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { routeCommandDarwin } from "./route-lookup-darwin.ts";
import { routeCommandLinux } from "./route-lookup-linux.ts";
import type { RouteLookup } from "./route-output.ts";

const DEADLINE_MS = 2_000;

const commandFor = process.platform === "darwin" ? routeCommandDarwin : routeCommandLinux;

/** Never rejects but for the signal's reason. */
export async function lookUpRoute(address: string, clock: Clock, signal: AbortSignal): Promise<RouteLookup> {
  const { program, args, parse, saysNone } = commandFor(address);
  try {
    const result = await runCommand(program, args, { clock, deadlineMs: DEADLINE_MS, signal });
    if (result.exitCode === 0) return parse(result.stdout);
    if (saysNone.test(result.stderr)) return { kind: "none" };
    const why = result.stderr.trim() || `${basename(program)} ended with ${result.exitCode}`;
    return { kind: "unknown", why };
  } catch (error) {
    if (error instanceof MountaineerError && error.code === "program_unavailable")
      return { kind: "unknown", why: error.message };
    throw error;
  }
}
