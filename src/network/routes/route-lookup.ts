// The interface through which the system sends to an address, read with the platform's command.

import { basename } from "node:path";
import { MountaineerError } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import type { Clock } from "../../runtime/time/clock.ts";

const DEADLINE_MS = 2_000;

const commandFor = process.platform === "darwin" ? routeCommandDarwin : routeCommandLinux;

/** Rejects only with the signal's reason. */
export async function findRoute(address: string, clock: Clock, signal: AbortSignal): Promise<RouteLookup> {
  const { program, args, parse, noRoutePattern } = commandFor(address);
  try {
    const result = await runCommand(program, args, { clock, deadlineMs: DEADLINE_MS, signal });
    if (result.exitCode === 0) return parse(result.stdout);
    if (noRoutePattern.test(result.stderr)) return { kind: "none" };
    const why = result.stderr.trim() || `${basename(program)} ended with ${result.exitCode}`;
    return { kind: "unknown", why };
  } catch (error) {
    if (error instanceof MountaineerError && error.code === "program_unavailable")
      return { kind: "unknown", why: error.message };
    throw error;
  }
}

function routeCommandDarwin(address: string): RouteCommand {
  const family = address.includes(":") ? ["-inet6"] : [];
  return {
    program: "/sbin/route",
    args: ["-n", "get", ...family, address],
    parse: parseRouteGet,
    noRoutePattern: /not in table/i,
  };
}

function routeCommandLinux(address: string): RouteCommand {
  const [plain = address] = address.split("%");
  return {
    program: "ip",
    args: ["-json", "route", "get", plain],
    parse: parseIpRoute,
    noRoutePattern: /unreachable|No route/i,
  };
}

export type RouteLookup =
  | {
      readonly kind: "found";
      readonly interfaceName: string;
      /** null: the address is on the interface's own network. */
      readonly gateway: string | null;
    }
  | { readonly kind: "none" }
  | { readonly kind: "unknown"; readonly why: string };

export interface RouteCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly parse: (stdout: string) => RouteLookup;
  /** Matches the command's error output when there is no route. */
  readonly noRoutePattern: RegExp;
}

/** Parses `ip -json route get ADDRESS`. */
export function parseIpRoute(stdout: string): RouteLookup {
  try {
    const value: unknown = parseJson(stdout);
    const first: unknown = Array.isArray(value) ? value[0] : null;
    if (typeof first === "object" && first !== null && "dev" in first && typeof first.dev === "string") {
      const gateway = "gateway" in first && typeof first.gateway === "string" ? first.gateway : null;
      return { kind: "found", interfaceName: first.dev, gateway };
    }
  } catch {}
  return { kind: "unknown", why: "the output of ip is not a route" };
}

/** Parses macOS's `route -n get ADDRESS`. */
export function parseRouteGet(stdout: string): RouteLookup {
  const field = (name: string): string | null =>
    new RegExp(`^[ \\t]*${name}: (\\S+)`, "m").exec(stdout)?.[1] ?? null;
  const interfaceName = field("interface");
  if (interfaceName === null) return { kind: "unknown", why: "route printed no interface" };
  const gateway = field("gateway");
  // For an address on the link, the "gateway" may be the link itself.
  const isLink = gateway === null || !/^([0-9a-f]+[:.])+[0-9a-f]+$/i.test(gateway);
  const isDefault = field("destination") === "default";
  return { kind: "found", interfaceName, gateway: isLink && !isDefault ? null : gateway };
}
