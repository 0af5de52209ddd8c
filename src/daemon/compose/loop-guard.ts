// Loop guard: a gateway refuses to run if one of its own backends has started it. Without the guard, `mountaineer
// mcp` as a backend would start the same gateway endlessly while no daemon runs.

import { MountaineerError, valueOr } from "../../runtime/errors.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";

const VARIABLE = "MOUNTAINEER_WITHIN";

type Environment = Readonly<Record<string, string | undefined>>;

/** Environment variables for the programs of a gateway's backends; `configPath` is that gateway's configuration. */
export function loopGuard(configPath: string, environment: Environment): Readonly<Record<string, string>> {
  return { [VARIABLE]: JSON.stringify([...lineageOf(environment), configPath]) };
}

/** Throws `gateway_off` if this process descends from a backend of the same configuration. */
export function requireNoOwnBackend(configPath: string, environment: Environment): void {
  if (!lineageOf(environment).includes(configPath)) return;
  // The remedy is in the message and not in a hint, because most people see only the last line of the backend's log.
  throw new MountaineerError(
    "gateway_off",
    `the gateway of ${configPath} would start itself again and again; remove the server that runs mountaineer from it`,
  );
}

/** The configurations of the gateways that this process descends from, outermost first. */
function lineageOf(environment: Environment): readonly string[] {
  const value = valueOr(() => parseJson(environment[VARIABLE] ?? "[]"), []);
  return Array.isArray(value) ? value.filter((path) => typeof path === "string") : [];
}
