// OTLP's two encodings over HTTP: JSON, and protobuf written from a table of the few messages that are sent. Pure.
import type { OtlpProtocol } from "../../config/snapshot.ts";
import type { OtlpDocument } from "./otlp-document.ts";

export interface EncodedDocument {
  /** Content-Type. */
  readonly type: "application/json" | "application/x-protobuf";
  readonly bytes: Uint8Array;
}

export function encodeOtlp({ message, fields }: OtlpDocument, protocol: OtlpProtocol): EncodedDocument {
  return protocol === "http/json"
    ? { type: "application/json", bytes: Buffer.from(JSON.stringify(fields)) }
    : { type: "application/x-protobuf", bytes: encodeMessage(MESSAGES[message], fields) };
}

type Scalar = "text" | "hex" | "varint" | "fixed64" | "double";
type Message = Readonly<Record<string, Field>>;
/** The number of a field, and what is in it: a scalar, a packed list of them, a message, or a list of messages. */
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

/** Whole numbers come as numbers, texts or true and false; a negative one is what 64 bits make of it. */
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
