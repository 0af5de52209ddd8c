// Traces and metrics as documents of OTLP (OpenTelemetry protocol 1.x), in its JSON spelling: 64-bit numbers are texts, ids
// are hexadecimal. Pure.
import type { Family, Labels } from "./metric-families.ts";
import { type Attribute, SPAN_KINDS, type Span } from "./span.ts";

export interface Sender {
  readonly serviceName: string;
  readonly version: string;
  /** Tells processes of one name apart. */
  readonly instanceId: string;
}

/** One message of the protocol, whatever it is then encoded as. */
export interface OtlpDocument {
  readonly message: "ExportTraceServiceRequest" | "ExportMetricsServiceRequest";
  readonly fields: Readonly<Record<string, unknown>>;
}

const CUMULATIVE = 2;
const STATUS_ERROR = 2;

export function tracesDocument(spans: readonly Span[], sender: Sender): OtlpDocument {
  const scopeSpans = [{ scope: scope(sender), spans: spans.map(spanJson) }];
  return {
    message: "ExportTraceServiceRequest",
    fields: { resourceSpans: [{ resource: resource(sender), scopeSpans }] },
  };
}

function spanJson({ traceId, spanId, parentSpanId, name, kind, startMs, endMs, attributes, error }: Span) {
  return {
    traceId,
    spanId,
    ...(parentSpanId !== null && { parentSpanId }),
    name,
    kind: SPAN_KINDS[kind],
    startTimeUnixNano: nanoseconds(startMs),
    endTimeUnixNano: nanoseconds(endMs),
    attributes: attributeList(error === null ? attributes : [...attributes, ["error.type", error]]),
    status: error === null ? {} : { code: STATUS_ERROR },
  };
}

/** Wall ms of the first point and of these. */
interface Period {
  readonly startMs: number;
  readonly endMs: number;
}

export function metricsDocument(families: readonly Family[], sender: Sender, period: Period): OtlpDocument {
  const metrics = families
    .filter(({ points }) => points.values.length > 0)
    .map((family) => metricJson(family, period));
  const scopeMetrics = [{ scope: scope(sender), metrics }];
  return {
    message: "ExportMetricsServiceRequest",
    fields: { resourceMetrics: [{ resource: resource(sender), scopeMetrics }] },
  };
}

function metricJson({ name, help, unit, points }: Family, { startMs, endMs }: Period) {
  const times = { startTimeUnixNano: nanoseconds(startMs), timeUnixNano: nanoseconds(endMs) };
  const described = { name, description: help, unit: unit === "" ? "1" : unit };
  if (points.kind === "histogram") {
    const dataPoints = points.values.map(({ labels, bounds, buckets, count, sum }) => ({
      attributes: labelList(labels),
      ...times,
      count: String(count),
      sum,
      bucketCounts: buckets.map(String),
      explicitBounds: bounds,
    }));
    return { ...described, histogram: { aggregationTemporality: CUMULATIVE, dataPoints } };
  }
  const dataPoints = points.values.map(({ labels, value }) => ({
    attributes: labelList(labels),
    ...times,
    ...(Number.isSafeInteger(value) ? { asInt: String(value) } : { asDouble: value }),
  }));
  return points.kind === "gauge"
    ? { ...described, gauge: { dataPoints } }
    : { ...described, sum: { aggregationTemporality: CUMULATIVE, isMonotonic: true, dataPoints } };
}

function resource({ serviceName, version, instanceId }: Sender) {
  return {
    attributes: attributeList([
      ["service.name", serviceName],
      ["service.version", version],
      ["service.instance.id", instanceId],
    ]),
  };
}

function scope({ version }: Sender) {
  return { name: "mountaineer", version };
}

function labelList(labels: Labels) {
  return attributeList(Object.entries(labels));
}

function attributeList(attributes: readonly Attribute[]) {
  return attributes.map(([key, value]) => ({
    key,
    value: typeof value === "number" ? { intValue: String(value) } : { stringValue: value },
  }));
}

/** Microseconds are as fine as a number of milliseconds can tell. */
function nanoseconds(ms: number): string {
  return `${Math.round(ms * 1000)}000`;
}
