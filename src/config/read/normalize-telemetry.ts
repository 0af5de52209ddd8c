// Normalizes the values of `[telemetry]` for the engine.
import type { ConfigFile } from "../schema/schema.ts";
import type { TelemetryConfig } from "../snapshot.ts";

/** Null: nobody wants anything of it. */
export function telemetryConfig(file: ConfigFile["telemetry"]): TelemetryConfig | null {
  if (file === undefined || (file.endpoint === undefined && !file.prometheus)) return null;
  return {
    endpoint: file.endpoint?.replace(/\/$/, "") ?? null,
    protocol: file.protocol,
    headers: file.headers,
    traces: file.traces,
    metrics: file.metrics,
    sample: file.sample,
    intervalMs: Math.round(file.interval * 1000),
    serviceName: file.service_name,
    prometheus: file.prometheus,
    metricsToken: file.metrics_token ?? null,
  };
}
