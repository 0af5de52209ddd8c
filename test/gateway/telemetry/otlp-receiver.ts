// A receiver of OTLP over HTTP that decodes what it is sent, protobuf or JSON, by OpenTelemetry's own definitions: a field
// that they do not have, or of another type, is an error.

import { createServer } from "node:http";
import path from "node:path";
import type { TestContext } from "node:test";
import { onLoopback } from "../../support/on-loopback.ts";
import { type Decoded, readProtoFile } from "./proto-reader.ts";

const OTLP = readProtoFile(path.join(import.meta.dirname, "otlp.proto"));
const MESSAGES = {
  traces: "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest",
  metrics: "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest",
} as const;

/** Throws for what the definitions do not allow. */
export function decode(what: keyof typeof MESSAGES, type: string, bytes: Uint8Array): Decoded {
  if (type === "application/x-protobuf") return OTLP.fromWire(MESSAGES[what], bytes);
  if (type !== "application/json") throw new Error(`${type} is no encoding of OTLP`);
  const value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  OTLP.checkJson(MESSAGES[what], value);
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
