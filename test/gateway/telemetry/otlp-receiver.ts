// A receiver of OTLP over HTTP that reads what it is sent by OpenTelemetry's own definitions (opentelemetry-proto 1.x, the
// JSON mapping of protobuf): a field that they do not have, or of another type, is an error.
import { createServer } from "node:http";
import type { TestContext } from "node:test";

type Kind = "string" | "double" | "enum" | "int64" | "fixed64" | "trace id" | "span id" | "bool";
type Field = Kind | { readonly list: Kind | string } | { readonly of: string };
type Message = Readonly<Record<string, Field>>;

const of = (name: string): Field => ({ of: name });
const listOf = (kind: Kind | string): Field => ({ list: kind });

/** trace.proto, metrics.proto, common.proto, resource.proto: the messages that are sent here. */
const MESSAGES: Readonly<Record<string, Message>> = {
  ExportTraceServiceRequest: { resourceSpans: listOf("ResourceSpans") },
  ResourceSpans: { resource: of("Resource"), scopeSpans: listOf("ScopeSpans"), schemaUrl: "string" },
  ScopeSpans: { scope: of("Scope"), spans: listOf("Span"), schemaUrl: "string" },
  Span: {
    traceId: "trace id",
    spanId: "span id",
    traceState: "string",
    parentSpanId: "span id",
    name: "string",
    kind: "enum",
    startTimeUnixNano: "fixed64",
    endTimeUnixNano: "fixed64",
    attributes: listOf("KeyValue"),
    status: of("Status"),
  },
  Status: { message: "string", code: "enum" },
  Resource: { attributes: listOf("KeyValue") },
  Scope: { name: "string", version: "string", attributes: listOf("KeyValue") },
  KeyValue: { key: "string", value: of("AnyValue") },
  AnyValue: { stringValue: "string", intValue: "int64", doubleValue: "double", boolValue: "bool" },
  ExportMetricsServiceRequest: { resourceMetrics: listOf("ResourceMetrics") },
  ResourceMetrics: { resource: of("Resource"), scopeMetrics: listOf("ScopeMetrics") },
  ScopeMetrics: { scope: of("Scope"), metrics: listOf("Metric") },
  Metric: {
    name: "string",
    description: "string",
    unit: "string",
    gauge: of("Gauge"),
    sum: of("Sum"),
    histogram: of("Histogram"),
  },
  Gauge: { dataPoints: listOf("NumberDataPoint") },
  Sum: { dataPoints: listOf("NumberDataPoint"), aggregationTemporality: "enum", isMonotonic: "bool" },
  Histogram: { dataPoints: listOf("HistogramDataPoint"), aggregationTemporality: "enum" },
  NumberDataPoint: {
    attributes: listOf("KeyValue"),
    startTimeUnixNano: "fixed64",
    timeUnixNano: "fixed64",
    asDouble: "double",
    asInt: "int64",
  },
  HistogramDataPoint: {
    attributes: listOf("KeyValue"),
    startTimeUnixNano: "fixed64",
    timeUnixNano: "fixed64",
    count: "fixed64",
    sum: "double",
    bucketCounts: listOf("fixed64"),
    explicitBounds: listOf("double"),
  },
};

const KINDS: Readonly<Record<Kind, (value: unknown) => boolean>> = {
  string: (value) => typeof value === "string",
  bool: (value) => typeof value === "boolean",
  double: (value) => typeof value === "number",
  enum: (value) => Number.isInteger(value),
  int64: (value) => typeof value === "string" && /^-?\d{1,19}$/.test(value),
  fixed64: (value) => typeof value === "string" && /^\d{1,20}$/.test(value),
  "trace id": (value) => typeof value === "string" && /^[0-9a-f]{32}$/.test(value) && !/^0+$/.test(value),
  "span id": (value) => typeof value === "string" && /^[0-9a-f]{16}$/.test(value) && !/^0+$/.test(value),
};

function isKind(name: string): name is Kind {
  return name in KINDS;
}

/** Throws for what the definitions do not allow. */
export function decode(message: string, value: unknown, at = message): void {
  const fields = MESSAGES[message];
  if (fields === undefined || typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`${at} is no ${message}`);
  for (const [name, part] of Object.entries(value)) {
    const field = fields[name];
    if (field === undefined) throw new Error(`${at}.${name} is no field of ${message}`);
    decodeField(field, part, `${at}.${name}`);
  }
}

function decodeField(field: Field, value: unknown, at: string): void {
  if (typeof field === "string") {
    if (!KINDS[field](value)) throw new Error(`${at} is no ${field}: ${JSON.stringify(value)}`);
  } else if ("of" in field) decode(field.of, value, at);
  else {
    const { list } = field;
    if (!Array.isArray(value)) throw new Error(`${at} is no list`);
    for (const [index, part] of value.entries()) {
      if (isKind(list)) decodeField(list, part, `${at}[${index}]`);
      else decode(list, part, `${at}[${index}]`);
    }
  }
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
  /** All that came, as it came. */
  readonly texts: string[];
  readonly headers: Readonly<Record<string, unknown>>[];
  /** What it answers; null: it never does. */
  status: number | null;
}

export async function startReceiver(t: TestContext): Promise<OtlpReceiver> {
  const server = createServer(async (request, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString("utf8");
    receiver.headers.push(request.headers);
    if (receiver.status === null) return;
    if (receiver.status === 200) receive(receiver, request.url ?? "", text);
    response.writeHead(receiver.status, { "content-type": "application/json" }).end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const receiver: OtlpReceiver = {
    endpoint: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    spans: [],
    metrics: new Map(),
    texts: [],
    headers: [],
    status: 200,
  };
  return receiver;
}

function receive(receiver: OtlpReceiver, path: string, text: string): void {
  receiver.texts.push(text);
  const body = JSON.parse(text);
  if (path === "/v1/traces") {
    decode("ExportTraceServiceRequest", body);
    for (const { scopeSpans } of body.resourceSpans)
      for (const { spans } of scopeSpans)
        for (const span of spans) receiver.spans.push({ ...span, attributes: record(span.attributes) });
    return;
  }
  if (path !== "/v1/metrics") throw new Error(`nothing is at ${path}`);
  decode("ExportMetricsServiceRequest", body);
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

type KeyValue = { readonly key: string; readonly value: Readonly<Record<string, string>> };

function record(attributes: readonly KeyValue[]): Record<string, string> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0] ?? ""]));
}
