// A receiver of OTLP over HTTP that decodes what it is sent, protobuf or JSON, by OpenTelemetry's own definitions: a field
// that they do not have, or of another type, is an error.

import { createServer } from "node:http";
import type { TestContext } from "node:test";
import { onLoopback } from "../../support/on-loopback.ts";

/**
 * OpenTelemetry's messages as far as the gateway may send them, from the definitions of OTLP 1.9: each field with its
 * number and type; `[]` is a list, `|` belongs to a group of which one may be there, `<n` is an enum of so many.
 */
const MESSAGES = {
  traces: "resourceSpans=1:ResourceSpans[]",
  metrics: "resourceMetrics=1:ResourceMetrics[]",
  Resource: "attributes=1:KeyValue[] droppedAttributesCount=2:uint32",
  InstrumentationScope:
    "name=1:string version=2:string attributes=3:KeyValue[] droppedAttributesCount=4:uint32",
  KeyValue: "key=1:string value=2:AnyValue",
  AnyValue:
    "stringValue=1:string| boolValue=2:bool| intValue=3:int64| doubleValue=4:double| bytesValue=7:bytes|",
  ResourceSpans: "resource=1:Resource scopeSpans=2:ScopeSpans[] schemaUrl=3:string",
  ScopeSpans: "scope=1:InstrumentationScope spans=2:Span[] schemaUrl=3:string",
  Span:
    "traceId=1:bytes spanId=2:bytes traceState=3:string parentSpanId=4:bytes flags=16:fixed32 name=5:string kind=6:<6 " +
    "startTimeUnixNano=7:fixed64 endTimeUnixNano=8:fixed64 attributes=9:KeyValue[] droppedAttributesCount=10:uint32 " +
    "droppedEventsCount=12:uint32 droppedLinksCount=14:uint32 status=15:Status",
  Status: "message=2:string code=3:<3",
  ResourceMetrics: "resource=1:Resource scopeMetrics=2:ScopeMetrics[] schemaUrl=3:string",
  ScopeMetrics: "scope=1:InstrumentationScope metrics=2:Metric[] schemaUrl=3:string",
  Metric:
    "name=1:string description=2:string unit=3:string gauge=5:Gauge| sum=7:Sum| histogram=9:Histogram| " +
    "metadata=12:KeyValue[]",
  Gauge: "dataPoints=1:NumberDataPoint[]",
  Sum: "dataPoints=1:NumberDataPoint[] aggregationTemporality=2:<3 isMonotonic=3:bool",
  Histogram: "dataPoints=1:HistogramDataPoint[] aggregationTemporality=2:<3",
  NumberDataPoint:
    "attributes=7:KeyValue[] startTimeUnixNano=2:fixed64 timeUnixNano=3:fixed64 asDouble=4:double| asInt=6:sfixed64| " +
    "flags=8:uint32",
  HistogramDataPoint:
    "attributes=9:KeyValue[] startTimeUnixNano=2:fixed64 timeUnixNano=3:fixed64 count=4:fixed64 sum=5:double " +
    "bucketCounts=6:fixed64[] explicitBounds=7:double[] flags=10:uint32 min=11:double max=12:double",
} as const;

interface Field {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly isList: boolean;
  readonly isOneOf: boolean;
}

const FIELDS = new Map<string, readonly Field[]>(
  Object.entries(MESSAGES).map(([message, fields]) => [
    message,
    fields.split(" ").map((text) => {
      const [, name = "", number, type = "", mark] = /^(\w+)=(\d+):([\w<]+)(\[\]|\||)$/.exec(text) ?? [];
      return { name, number: Number(number), type, isList: mark === "[]", isOneOf: mark === "|" };
    }),
  ]),
);

/** How each scalar is written on the wire, how it is read there as JSON writes it, and what it is in JSON. */
const isNumber = (value: unknown): boolean => Number.isInteger(value);
const isDigits = (value: unknown): boolean => typeof value === "string" && /^-?\d{1,20}$/.test(value);
const isText = (value: unknown): boolean => typeof value === "string";
const isHex = (value: unknown): boolean => isText(value) && /^(?:[0-9a-f]{2})*$/.test(String(value));
const SCALARS: Readonly<
  Record<string, readonly [wire: number, read: (from: Wire) => unknown, isJson: (value: unknown) => boolean]>
> = {
  bool: [0, (from) => from.varint() !== 0n, (value) => typeof value === "boolean"],
  uint32: [0, (from) => Number(BigInt.asIntN(32, from.varint())), isNumber],
  int64: [0, (from) => String(BigInt.asIntN(64, from.varint())), isDigits],
  fixed64: [1, (from) => String(from.take(8).readBigUInt64LE()), isDigits],
  sfixed64: [1, (from) => String(from.take(8).readBigInt64LE()), isDigits],
  double: [1, (from) => from.take(8).readDoubleLE(), (value) => typeof value === "number"],
  string: [2, (from) => new TextDecoder("utf-8", { fatal: true }).decode(from.sized()), isText],
  bytes: [2, (from) => from.sized().toString("hex"), isHex],
  fixed32: [5, (from) => from.take(4).readUInt32LE(), isNumber],
};

class Wire {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
  }

  get isOver(): boolean {
    return this.#at >= this.#bytes.length;
  }

  take(length: number): Buffer {
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new Error("a field is cut off");
    this.#at += length;
    return bytes;
  }

  varint(): bigint {
    for (let value = 0n, shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.take(1).readUInt8();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new Error("a number is too long");
  }

  sized(): Buffer {
    return this.take(Number(this.varint()));
  }
}

type Decoded = Readonly<Record<string, unknown>>;

function fromWire(message: string, bytes: Uint8Array): Decoded {
  const fields = FIELDS.get(message) ?? [];
  const decoded: Record<string, unknown> = {};
  const lists = new Map(fields.filter(({ isList }) => isList).map(({ name }) => [name, [] as unknown[]]));
  for (const wire = new Wire(bytes); !wire.isOver; ) {
    const tag = Number(wire.varint());
    const field = fields.find(({ number }) => number === tag >>> 3);
    if (field === undefined) throw new Error(`${message} has no field ${tag >>> 3}`);
    const { name, type, isOneOf } = field;
    if (isOneOf && fields.some((other) => other.isOneOf && other.name in decoded))
      throw new Error(`${message} has more than one of those beside ${name}`);
    const [wireType, read] = SCALARS[type] ?? [
      type.startsWith("<") ? 0 : 2,
      (from: Wire) => enumOrMessage(type, from),
    ];
    const list = lists.get(name);
    const isPacked = list !== undefined && wireType !== 2;
    if ((tag & 7) !== (isPacked ? 2 : wireType))
      throw new Error(`${message}.${name} is written as ${tag & 7}`);
    if (list === undefined) decoded[name] = read(wire);
    else if (!isPacked) list.push(read(wire));
    else for (const inner = new Wire(wire.sized()); !inner.isOver; ) list.push(read(inner));
  }
  return { ...decoded, ...Object.fromEntries(lists) };
}

function enumOrMessage(type: string, from: Wire): unknown {
  if (!type.startsWith("<")) return fromWire(type, from.sized());
  const number = Number(from.varint());
  checkJson(type, number, "an enum");
  return number;
}

/** Throws for what the definitions do not have. */
function checkJson(type: string, value: unknown, at: string): void {
  const fields = FIELDS.get(type);
  const isSound =
    fields !== undefined
      ? typeof value === "object" && value !== null && !Array.isArray(value)
      : type.startsWith("<")
        ? isNumber(value) && Number(value) >= 0 && Number(value) < Number(type.slice(1))
        : SCALARS[type]?.[2](value) === true;
  if (!isSound) throw new Error(`${at} is no ${type}: ${JSON.stringify(value)}`);
  for (const [key, part] of Object.entries(fields === undefined ? {} : (value as Decoded))) {
    const field = fields?.find(({ name }) => name === key);
    if (field === undefined) throw new Error(`${at}.${key} is no field of ${type}`);
    if (Array.isArray(part) !== field.isList)
      throw new Error(`${at}.${key} must ${field.isList ? "" : "not "}be a list`);
    for (const each of field.isList ? (part as unknown[]) : [part])
      checkJson(field.type, each, `${at}.${key}`);
  }
}

/** Throws for what the definitions do not allow. */
export function decode(what: "traces" | "metrics", type: string, bytes: Uint8Array): Decoded {
  if (type === "application/x-protobuf") return fromWire(what, bytes);
  if (type !== "application/json") throw new Error(`${type} is no encoding of OTLP`);
  const value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  checkJson(what, value, what);
  return value;
}

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly status: { readonly code?: number };
  readonly attributes: Readonly<Record<string, string>>;
}

export interface OtlpReceiver {
  readonly endpoint: string;
  readonly spans: ReceivedSpan[];
  /** Values by metric and labels, newest last. */
  readonly metrics: Map<string, string | number>;
  /** All that came, decoded, as JSON. */
  readonly texts: string[];
  readonly headers: Readonly<Record<string, unknown>>[];
  /** What it answers; null: it never does. */
  status: number | null;
}

export async function startReceiver(t: TestContext): Promise<OtlpReceiver> {
  const server = createServer(async (request, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    receiver.headers.push(request.headers);
    if (receiver.status === null) return;
    if (receiver.status === 200) {
      const type = request.headers["content-type"] ?? "";
      receive(receiver, request.url ?? "", type, Buffer.concat(chunks));
    }
    response.writeHead(receiver.status, { "content-type": "application/json" }).end("{}");
  });
  const port = await onLoopback(t, server);
  const receiver: OtlpReceiver = {
    endpoint: `http://127.0.0.1:${port}`,
    spans: [],
    metrics: new Map(),
    texts: [],
    headers: [],
    status: 200,
  };
  return receiver;
}

function receive(receiver: OtlpReceiver, url: string, type: string, bytes: Uint8Array): void {
  const what = url === "/v1/traces" ? "traces" : "metrics";
  if (url !== `/v1/${what}`) throw new Error(`nothing is at ${url}`);
  const text = JSON.stringify(decode(what, type, bytes));
  receiver.texts.push(text);
  const body = JSON.parse(text);
  if (what === "traces") {
    for (const { scopeSpans } of body.resourceSpans)
      for (const { spans } of scopeSpans)
        for (const span of spans) {
          if (!isId(span.traceId, 32) || !isId(span.spanId, 16))
            throw new Error(`no ids: ${JSON.stringify(span)}`);
          receiver.spans.push({ ...span, attributes: record(span.attributes) });
        }
    return;
  }
  for (const { scopeMetrics } of body.resourceMetrics) {
    for (const { metrics } of scopeMetrics) {
      for (const { name, sum, gauge, histogram } of metrics) {
        for (const point of (sum ?? gauge ?? histogram).dataPoints) {
          const labels = JSON.stringify(record(point.attributes));
          receiver.metrics.set(`${name} ${labels}`, point.asInt ?? point.asDouble ?? point.count);
        }
      }
    }
  }
}

function isId(id: unknown, length: number): boolean {
  return typeof id === "string" && id.length === length && !/^0+$/.test(id);
}

type KeyValue = { readonly key: string; readonly value: Readonly<Record<string, string>> };

function record(attributes: readonly KeyValue[]): Record<string, string> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0] ?? ""]));
}
