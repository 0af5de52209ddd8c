// Traces and metrics as documents of OTLP (OpenTelemetry protocol 1.x) in JSON: 64-bit numbers are
// texts, ids are hexadecimal. Pure.
import { DURATION_BOUNDS_S } from "./call-metrics.ts";
import type { Family, Labels } from "./metric-families.ts";

export interface Sender {
  readonly serviceName: string;
  readonly version: string;
  /** Distinguishes processes with the same service name. */
  readonly instanceId: string;
}

/** One message of the protocol. */
export type OtlpDocument = Readonly<Record<string, unknown>>;

const CUMULATIVE = 2;
const STATUS_ERROR = 2;

export function tracesDocument(spans: readonly Span[], sender: Sender): OtlpDocument {
  const scopeSpans = [{ scope: scope(sender), spans: spans.map(spanJson) }];
  return { resourceSpans: [{ resource: resource(sender), scopeSpans }] };
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

/** The time that metrics cover, in wall ms: from the process's start until the moment of measuring. */
interface Period {
  readonly startMs: number;
  readonly endMs: number;
}

export function metricsDocument(families: readonly Family[], sender: Sender, period: Period): OtlpDocument {
  const metrics = families.map((family) => metricJson(family, period));
  const scopeMetrics = [{ scope: scope(sender), metrics }];
  return { resourceMetrics: [{ resource: resource(sender), scopeMetrics }] };
}

function metricJson(family: Family, { startMs, endMs }: Period) {
  const { name, help: description } = family;
  const times = { startTimeUnixNano: nanoseconds(startMs), timeUnixNano: nanoseconds(endMs) };
  if (family.kind === "histogram") {
    const dataPoints = family.values.map(({ labels, buckets, count, sumS }) => ({
      attributes: labelList(labels),
      ...times,
      count: String(count),
      sum: sumS,
      bucketCounts: buckets.map(String),
      explicitBounds: DURATION_BOUNDS_S,
    }));
    return { name, description, unit: "s", histogram: { aggregationTemporality: CUMULATIVE, dataPoints } };
  }
  const dataPoints = family.values.map(({ labels, value }) => ({
    attributes: labelList(labels),
    ...times,
    ...(Number.isSafeInteger(value) ? { asInt: String(value) } : { asDouble: value }),
  }));
  const described = { name, description, unit: "1" };
  return family.kind === "gauge"
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

/** Rounded to microseconds, the precision of wall ms as a number. */
function nanoseconds(ms: number): string {
  return `${Math.round(ms * 1000)}000`;
}

export type Attribute = readonly [key: string, value: string | number];

/** The numbers are those of OpenTelemetry. */
const SPAN_KINDS = { server: 2, client: 3 } as const;

/** A finished step of a trace: names and numbers only, without content of a client or server. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** null: the first span of its trace. */
  readonly parentSpanId: string | null;
  readonly name: string;
  readonly kind: keyof typeof SPAN_KINDS;
  /** Wall ms. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: readonly Attribute[];
  /** The value of `error.type`; null: no error. */
  readonly error: string | null;
}
