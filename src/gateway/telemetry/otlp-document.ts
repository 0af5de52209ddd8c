// Traces and metrics as documents of OTLP (OpenTelemetry protocol 1.x), with the JSON encoding of values: 64-bit numbers are
// texts, ids are hexadecimal. Pure.
import type { OtlpProtocol } from "../../config/snapshot.ts";
import { DURATION_BOUNDS_S } from "./call-metrics.ts";
import type { Family, Labels } from "./metric-families.ts";

export interface Sender {
  readonly serviceName: string;
  readonly version: string;
  /** Distinguishes processes with the same service name. */
  readonly instanceId: string;
}

/** One message of the protocol, before encoding. */
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

/** The time that metrics cover, in wall ms: from the process's start until the moment of measuring. */
interface Period {
  readonly startMs: number;
  readonly endMs: number;
}

export function metricsDocument(families: readonly Family[], sender: Sender, period: Period): OtlpDocument {
  const metrics = families.map((family) => metricJson(family, period));
  const scopeMetrics = [{ scope: scope(sender), metrics }];
  return {
    message: "ExportMetricsServiceRequest",
    fields: { resourceMetrics: [{ resource: resource(sender), scopeMetrics }] },
  };
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

// OTLP's two encodings over HTTP: JSON, and protobuf by a table of the messages in use. Pure.

/** `type` is the Content-Type. */
export function encodeOtlp({ message, fields }: OtlpDocument, protocol: OtlpProtocol) {
  return protocol === "http/json"
    ? { type: "application/json", bytes: Buffer.from(JSON.stringify(fields)) }
    : { type: "application/x-protobuf", bytes: encodeMessage(MESSAGES[message], fields) };
}

type Scalar = "text" | "hex" | "varint" | "fixed64" | "double";
type Message = Readonly<Record<string, Field>>;
/** A field's number and type: a scalar, a packed list of scalars, a message, or a list of messages. */
type Field = readonly [number, Scalar] | readonly [number, Scalar, "packed"] | readonly [number, Message];

const ANY_VALUE: Message = { stringValue: [1, "text"], intValue: [3, "varint"] };
const KEY_VALUE: Message = { key: [1, "text"], value: [2, ANY_VALUE] };
const RESOURCE: Message = { attributes: [1, KEY_VALUE] };
const SCOPE: Message = { name: [1, "text"], version: [2, "text"] };
const SPAN: Message = {
  traceId: [1, "hex"],
  spanId: [2, "hex"],
  parentSpanId: [4, "hex"],
  name: [5, "text"],
  kind: [6, "varint"],
  startTimeUnixNano: [7, "fixed64"],
  endTimeUnixNano: [8, "fixed64"],
  attributes: [9, KEY_VALUE],
  status: [15, { code: [3, "varint"] }],
};
const NUMBER_POINT: Message = {
  startTimeUnixNano: [2, "fixed64"],
  timeUnixNano: [3, "fixed64"],
  asDouble: [4, "double"],
  asInt: [6, "fixed64"],
  attributes: [7, KEY_VALUE],
};
const HISTOGRAM_POINT: Message = {
  startTimeUnixNano: [2, "fixed64"],
  timeUnixNano: [3, "fixed64"],
  count: [4, "fixed64"],
  sum: [5, "double"],
  bucketCounts: [6, "fixed64", "packed"],
  explicitBounds: [7, "double", "packed"],
  attributes: [9, KEY_VALUE],
};
const METRIC: Message = {
  name: [1, "text"],
  description: [2, "text"],
  unit: [3, "text"],
  gauge: [5, { dataPoints: [1, NUMBER_POINT] }],
  sum: [
    7,
    { dataPoints: [1, NUMBER_POINT], aggregationTemporality: [2, "varint"], isMonotonic: [3, "varint"] },
  ],
  histogram: [9, { dataPoints: [1, HISTOGRAM_POINT], aggregationTemporality: [2, "varint"] }],
};

const MESSAGES: Readonly<Record<OtlpDocument["message"], Message>> = {
  ExportTraceServiceRequest: {
    resourceSpans: [1, { resource: [1, RESOURCE], scopeSpans: [2, { scope: [1, SCOPE], spans: [2, SPAN] }] }],
  },
  ExportMetricsServiceRequest: {
    resourceMetrics: [
      1,
      { resource: [1, RESOURCE], scopeMetrics: [2, { scope: [1, SCOPE], metrics: [2, METRIC] }] },
    ],
  },
};

const VARINT = 0;
const EIGHT_BYTES = 1;
const WITH_LENGTH = 2;

function encodeMessage(message: Message, fields: object): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [name, value] of Object.entries(fields)) {
    const field = message[name];
    if (field === undefined) throw new Error(`OTLP: ${name} is in no table`);
    if (value !== undefined) encodeField(field, value, parts);
  }
  return Buffer.concat(parts);
}

function encodeField(field: Field, value: unknown, parts: Uint8Array[]): void {
  const [number, kind] = field;
  if (typeof kind === "object") {
    for (const each of Array.isArray(value) ? value : [value])
      addWithLength(number, encodeMessage(kind, each), parts);
  } else if (field.length === 3) {
    if (!Array.isArray(value)) throw new Error("OTLP: a packed field has a list");
    addWithLength(number, Buffer.concat(value.map((each) => encodeScalar(kind, each))), parts);
  } else {
    const bytes = encodeScalar(kind, value);
    if (kind === "text" || kind === "hex") addWithLength(number, bytes, parts);
    else parts.push(tag(number, kind === "varint" ? VARINT : EIGHT_BYTES), bytes);
  }
}

function addWithLength(number: number, bytes: Uint8Array, parts: Uint8Array[]): void {
  parts.push(tag(number, WITH_LENGTH), varint(BigInt(bytes.byteLength)), bytes);
}

function tag(number: number, wireType: number): Uint8Array {
  return varint(BigInt((number << 3) | wireType));
}

/** Integers may be numbers, texts or booleans; negative integers are encoded in two's complement. */
function encodeScalar(kind: Scalar, value: unknown): Uint8Array {
  if (kind === "text") return Buffer.from(String(value));
  if (kind === "hex") return Buffer.from(String(value), "hex");
  if (kind === "varint") return varint(whole(value));
  const bytes = Buffer.alloc(8);
  if (kind === "double") bytes.writeDoubleLE(Number(value));
  else bytes.writeBigUInt64LE(whole(value));
  return bytes;
}

function whole(value: unknown): bigint {
  return BigInt.asUintN(64, BigInt(typeof value === "boolean" ? Number(value) : String(value)));
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let left = value;
  while (left > 0x7fn) {
    bytes.push(Number(left & 0x7fn) | 0x80);
    left >>= 7n;
  }
  bytes.push(Number(left));
  return Uint8Array.from(bytes);
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
