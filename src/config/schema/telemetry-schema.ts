// The keys of `[telemetry]`: where traces and metrics go.
import { parseHeaderName } from "../values/backend-names.ts";
import { defaulted, numberKey, optional, required, toggleKey } from "./schema-keys.ts";
import { open } from "./tables.ts";
import { label, reference, url } from "./value-types.ts";

const headerKey = required("sends", reference, {
  absent: "none",
  meaning: "A header, such as `Authorization`; its whole value, by reference.",
  example: '"secret:otlp"',
});

export const telemetryKeys = {
  endpoint: optional("sends", url, {
    absent: "nothing is sent",
    meaning: "The receiver of OTLP over HTTP, in JSON; `/v1/traces` and `/v1/metrics` are appended.",
    example: '"http://127.0.0.1:4318"',
  }),
  traces: toggleKey("sends", true, "Send a trace of each request: client, gateway, server."),
  metrics: toggleKey("sends", true, "Send metrics."),
  sample: numberKey("sends", {
    min: 0,
    max: 1,
    absent: 1,
    unit: null,
    meaning: "The fraction of requests to trace, unless the client decides.",
  }),
  interval: numberKey("sends", {
    min: 1,
    max: 3600,
    absent: 60,
    unit: "seconds",
    meaning: "How often metrics are sent.",
  }),
  service_name: defaulted("sends", label, "mountaineer", {
    absent: '"mountaineer"',
    meaning: "The service name in the data.",
    example: '"mountaineer"',
  }),
  prometheus: toggleKey("sends", false, "Serve `/metrics` at the gateway's address."),
  metrics_token: optional("sends", reference, {
    absent: "only this machine may read `/metrics`",
    meaning: "The token that Prometheus sends.",
    example: '"secret:metrics"',
  }),
  headers: open("Headers of everything that is sent.", parseHeaderName, headerKey),
};
