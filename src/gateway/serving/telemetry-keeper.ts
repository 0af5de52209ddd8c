// The telemetry that is configured: loaded when it is, kept while its section means the same.
import { isDeepStrictEqual } from "node:util";
import type { TelemetryConfig } from "../../config/snapshot.ts";
import type { Measured } from "../telemetry/metric-families.ts";
import type { Telemetry, TelemetryTools } from "../telemetry/telemetry.ts";
import type { GatewayView } from "./gateway-contract.ts";

interface Running {
  readonly config: TelemetryConfig;
  readonly telemetry: Telemetry;
}

/** That of `config`: the running one where it is the same. Nothing of it is loaded while it is off. */
export async function telemetryFor(
  config: TelemetryConfig | null,
  running: Running | null,
  tools: TelemetryTools,
): Promise<Running | null> {
  if (config === null) return null;
  if (running !== null && isDeepStrictEqual(running.config, config)) return running;
  const { Telemetry: Loaded } = await import("../telemetry/telemetry.ts");
  return { config, telemetry: new Loaded(config, tools) };
}

/** What a view of the gateway says in numbers. */
export function measuredOf({
  sessions,
  inFlight,
  backends,
}: Pick<GatewayView, "sessions" | "inFlight" | "backends">): readonly Measured[] {
  return [
    gauge("mountaineer.sessions", "Sessions of clients.", [{ labels: {}, value: sessions }]),
    gauge("mountaineer.requests.in_flight", "Requests that have no answer yet.", [
      { labels: {}, value: inFlight },
    ]),
    gauge(
      "mountaineer.backend.phase",
      "The phase that each backend is in: 1.",
      backends.map(({ name, phase }) => ({ labels: { backend: name, phase }, value: 1 })),
    ),
    {
      ...gauge(
        "mountaineer.backend.restarts",
        "How often each backend ended unasked.",
        backends.map(({ name, restarts }) => ({ labels: { backend: name }, value: restarts })),
      ),
      kind: "counter",
    },
  ];
}

function gauge(name: string, help: string, values: Measured["values"]): Measured {
  return { name, help, kind: "gauge", values };
}
