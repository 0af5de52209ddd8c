// Loop guard: a gateway that was started by a backend of its own configuration does not start that backend again.
// Without a daemon, `mountaineer mcp` as a backend would start the same gateway endlessly.
import { MountaineerError } from "../../runtime/errors.ts";

const VARIABLE = "MOUNTAINEER_WITHIN";

type Environment = Readonly<Record<string, string | undefined>>;

/** What every program of a gateway's backends is to have in its environment; `configPath` is that gateway's. */
export function loopGuard(configPath: string, environment: Environment): Readonly<Record<string, string>> {
  return { [VARIABLE]: JSON.stringify([...lineageOf(environment), configPath]) };
}

/** Rejects with `gateway_off` when this process is a backend's of the same configuration, however far below. */
export function requireNoOwnBackend(configPath: string, environment: Environment): void {
  if (!lineageOf(environment).includes(configPath)) return;
  // No hint: the backend's last line is all that most see of it.
  throw new MountaineerError(
    "gateway_off",
    `the gateway of ${configPath} would start itself again and again; remove the backend that runs mountaineer from it`,
  );
}

/** The configurations of the gateways below which this process runs, the outermost first. */
function lineageOf(environment: Environment): readonly string[] {
  try {
    const value: unknown = JSON.parse(environment[VARIABLE] ?? "[]");
    return Array.isArray(value) ? value.filter((path) => typeof path === "string") : [];
  } catch {
    return [];
  }
}
