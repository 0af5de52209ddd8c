// A receiver of OTLP over HTTP in JSON that checks what it is sent by OpenTelemetry's own definitions: a field that they do
// not have, or of another type, is an error.

import { createServer } from "node:http";
import type { TestContext } from "node:test";
import { onLoopback } from "../../support/on-loopback.ts";

/**
 * OpenTelemetry's messages as far as the gateway may send them, from the definitions of OTLP 1.9: each field with its
 * type; `[]` is a list, `|` belongs to a group of which one may be there, `<n` is an enum of so many.
 */
const MESSAGES = {
  traces: "resourceSpans=ResourceSpans[]",
  metrics: "resourceMetrics=ResourceMetrics[]",
  Resource: "attributes=KeyValue[] droppedAttributesCount=uint32",
  InstrumentationScope: "name=string version=string attributes=KeyValue[] droppedAttributesCount=uint32",
  KeyValue: "key=string value=AnyValue",
  AnyValue: "stringValue=string| boolValue=bool| intValue=int64| doubleValue=double| bytesValue=bytes|",
  ResourceSpans: "resource=Resource scopeSpans=ScopeSpans[] schemaUrl=string",
  ScopeSpans: "scope=InstrumentationScope spans=Span[] schemaUrl=string",
  Span:
    "traceId=bytes spanId=bytes traceState=string parentSpanId=bytes flags=fixed32 name=string kind=<6 " +
    "startTimeUnixNano=fixed64 endTimeUnixNano=fixed64 attributes=KeyValue[] droppedAttributesCount=uint32 " +
    "droppedEventsCount=uint32 droppedLinksCount=uint32 status=Status",
  Status: "message=string code=<3",
  ResourceMetrics: "resource=Resource scopeMetrics=ScopeMetrics[] schemaUrl=string",
  ScopeMetrics: "scope=InstrumentationScope metrics=Metric[] schemaUrl=string",
  Metric:
    "name=string description=string unit=string gauge=Gauge| sum=Sum| histogram=Histogram| " +
    "metadata=KeyValue[]",
  Gauge: "dataPoints=NumberDataPoint[]",
  Sum: "dataPoints=NumberDataPoint[] aggregationTemporality=<3 isMonotonic=bool",
  Histogram: "dataPoints=HistogramDataPoint[] aggregationTemporality=<3",
  NumberDataPoint:
    "attributes=KeyValue[] startTimeUnixNano=fixed64 timeUnixNano=fixed64 asDouble=double| asInt=sfixed64| " +
    "flags=uint32",
  HistogramDataPoint:
    "attributes=KeyValue[] startTimeUnixNano=fixed64 timeUnixNano=fixed64 count=fixed64 sum=double " +
    "bucketCounts=fixed64[] explicitBounds=double[] flags=uint32 min=double max=double",
} as const;

interface Field {
  readonly name: string;
  readonly type: string;
  readonly isList: boolean;
  readonly isOneOf: boolean;
}

const FIELDS = new Map<string, readonly Field[]>(
  Object.entries(MESSAGES).map(([message, fields]) => [
    message,
    fields.split(" ").map((text) => {
      const [, name = "", type = "", mark] = /^(\w+)=([\w<]+)(\[\]|\||)$/.exec(text) ?? [];
      return { name, type, isList: mark === "[]", isOneOf: mark === "|" };
    }),
  ]),
);

const isNumber = (value: unknown): boolean => Number.isInteger(value);
const isDigits = (value: unknown): boolean => typeof value === "string" && /^-?\d{1,20}$/.test(value);
const isText = (value: unknown): boolean => typeof value === "string";
const isHex = (value: unknown): boolean => isText(value) && /^(?:[0-9a-f]{2})*$/.test(String(value));
/** What each scalar is in JSON. */
const SCALARS: Readonly<Record<string, (value: unknown) => boolean>> = {
  bool: (value) => typeof value === "boolean",
  uint32: isNumber,
  int64: isDigits,
  fixed64: isDigits,
  sfixed64: isDigits,
  double: (value) => typeof value === "number",
  string: isText,
  bytes: isHex,
  fixed32: isNumber,
};

type Decoded = Readonly<Record<string, unknown>>;

/** Throws for what the definitions do not have. */
function checkJson(type: string, value: unknown, at: string): void {
  const fields = FIELDS.get(type);
  const isSound =
    fields !== undefined
      ? typeof value === "object" && value !== null && !Array.isArray(value)
      : type.startsWith("<")
        ? isNumber(value) && Number(value) >= 0 && Number(value) < Number(type.slice(1))
        : SCALARS[type]?.(value) === true;
  if (!isSound) throw new Error(`${at} is no ${type}: ${JSON.stringify(value)}`);
  const ofGroup = fields?.filter(({ name, isOneOf }) => isOneOf && name in (value as Decoded)) ?? [];
  if (ofGroup.length > 1) throw new Error(`${at} has more than one of a group`);
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
export function decode(what: "traces" | "metrics", text: string): Decoded {
  const value = JSON.parse(text);
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
      if (request.headers["content-type"] !== "application/json") throw new Error("it is not JSON");
      receive(receiver, request.url ?? "", Buffer.concat(chunks).toString("utf8"));
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

function receive(receiver: OtlpReceiver, url: string, given: string): void {
  const what = url === "/v1/traces" ? "traces" : "metrics";
  if (url !== `/v1/${what}`) throw new Error(`nothing is at ${url}`);
  const text = JSON.stringify(decode(what, given));
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
