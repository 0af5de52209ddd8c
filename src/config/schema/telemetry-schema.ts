// The keys of `[telemetry]`: where traces and metrics go.
import * as z from "zod";
import { parseHeaderName } from "../backend-names.ts";
import { parseLabel, parseServerUrl, URL_EXPECTED } from "../backend-values.ts";
import { describeKind } from "../mistakes.ts";
import {
  choiceKey,
  document,
  numberKey,
  REFERENCE_EXPECTED,
  readReference,
  readText,
  textDoc,
  toggleKey,
} from "./schema-keys.ts";

/** The value of one header in `headers`. */
export const telemetryHeaderSchema = document(
  readReference(),
  textDoc({
    type: "reference",
    expected: REFERENCE_EXPECTED,
    absent: "none",
    isSecret: true,
    meaning: "A header of everything that is sent, by its name; its whole value, by reference.",
    example: '"secret:otlp"',
  }),
);

export const telemetrySchema = z.strictObject({
  endpoint: document(
    readText(parseServerUrl, describeKind).optional(),
    textDoc({
      type: "address",
      absent: "nothing is sent",
      expected: URL_EXPECTED,
      meaning:
        "Where traces and metrics are sent, as OTLP over HTTP; `/v1/traces` and `/v1/metrics` are added.",
      example: '"http://127.0.0.1:4318"',
    }),
  ),
  protocol: choiceKey(["http/protobuf", "http/json"], "http/protobuf", {
    meaning: "How it is encoded: every receiver takes protobuf, JSON can be read by people.",
  }),
  traces: toggleKey(true, "Send a trace of each request: client, gateway, backend."),
  metrics: toggleKey(true, "Send metrics."),
  sample: numberKey({
    min: 0,
    max: 1,
    absent: 1,
    unit: null,
    meaning: "The share of requests that are traced, where the client has not decided.",
  }),
  interval: numberKey({
    min: 1,
    max: 3600,
    absent: 60,
    unit: "seconds",
    meaning: "How often metrics are sent.",
  }),
  service_name: document(
    readText(parseLabel).default("mountaineer"),
    textDoc({ absent: '"mountaineer"', meaning: "What the sender is called.", example: '"mountaineer"' }),
  ),
  prometheus: toggleKey(false, "Answer `/metrics` at the gateway's address, for Prometheus."),
  metrics_token: document(
    readReference().optional(),
    textDoc({
      type: "reference",
      expected: REFERENCE_EXPECTED,
      absent: "only this machine may read `/metrics`",
      isSecret: true,
      meaning: "What Prometheus sends as `Authorization: Bearer …`, by reference.",
      example: '"secret:metrics"',
    }),
  ),
  headers: z.record(readText(parseHeaderName), telemetryHeaderSchema).default({}),
});
