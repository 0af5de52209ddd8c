import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { TelemetryConfig } from "../../../src/config/snapshot.ts";
import { boundedRequest } from "../../../src/gateway/bounded-request.ts";
import { CallMetrics, MOST_KINDS } from "../../../src/gateway/telemetry/call-metrics.ts";
import { BATCH_MS, Exporter, MOST_SPANS } from "../../../src/gateway/telemetry/exporter.ts";
import { type Family, families, prometheusText } from "../../../src/gateway/telemetry/metric-families.ts";
import {
  metricsDocument,
  type OtlpDocument,
  type Span,
  tracesDocument,
} from "../../../src/gateway/telemetry/otlp-document.ts";
import {
  contextOf,
  readContext,
  Telemetry,
  traceparentOf,
  withContext,
} from "../../../src/gateway/telemetry/telemetry.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { source } from "../catalog/sources.ts";
import { ask, client, recordingServices, servingSet } from "../middleware/requests.ts";
import { decode, startReceiver } from "./otlp-receiver.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

test("E5 trace context is read as W3C writes it, and nothing else is", () => {
  const read = (text: unknown) => readContext(text, undefined);
  assert.deepEqual(read(`00-${TRACE}-${SPAN}-01`), {
    traceId: TRACE,
    spanId: SPAN,
    sampled: true,
    state: null,
  });
  assert.equal(read(`00-${TRACE}-${SPAN}-00`)?.sampled, false);
  // A later version may have more at its end.
  assert.equal(read(`cc-${TRACE}-${SPAN}-03-more`)?.sampled, true);
  for (const wrong of [
    undefined,
    7,
    "",
    `00-${TRACE}-${SPAN}-01-more`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE}-${SPAN}`,
  ])
    assert.equal(read(wrong), null, String(wrong));
  const context = readContext(`00-${TRACE}-${SPAN}-01`, "a=1,b=2");
  assert.equal(context?.state, "a=1,b=2");
  assert.equal(readContext(`00-${TRACE}-${SPAN}-01`, "x".repeat(600))?.state, null);
  for (const state of ["a\nb", "", 7])
    assert.equal(readContext(`00-${TRACE}-${SPAN}-01`, state)?.state, null);
});

test("E5 trace context is written next to any other metadata of a request", () => {
  const context = { traceId: TRACE, spanId: SPAN, sampled: true, state: "a=1" };
  const params = { name: "x", _meta: { progressToken: 1, traceparent: "old", tracestate: "old" } };
  assert.deepEqual(withContext(params, context), {
    name: "x",
    _meta: { progressToken: 1, traceparent: traceparentOf(context), tracestate: "a=1" },
  });
  assert.deepEqual(params._meta.traceparent, "old", "what came is as it came");
  assert.deepEqual(contextOf(withContext(undefined, context), undefined), context);
});

test("E5 metrics have a bounded number of kinds, whatever is published", () => {
  const metrics = new CallMetrics();
  for (let index = 0; index < MOST_KINDS + 500; index++)
    metrics.record({ method: "tools/call", backend: "b", target: `tool ${index}` }, "ok", 0.001);
  const kinds = [...metrics.kinds];
  assert.equal(kinds.length, MOST_KINDS + 1);
  assert.equal(kinds.find(({ target }) => target === "(other)")?.count, 500);
});

test("E5 metrics: durations fall into buckets, the last of which has no bound", () => {
  const metrics = new CallMetrics();
  for (const seconds of [0.005, 0.0051, 61])
    metrics.record({ method: "m", backend: "", target: "" }, "ok", seconds);
  const [kind] = metrics.kinds;
  assert.deepEqual([kind?.buckets[0], kind?.buckets[1], kind?.buckets.at(-1)], [1, 1, 1]);
  const text = prometheusText(families([...metrics.kinds], []));
  assert.match(text, /_bucket\{method="m",le="0\.005"\} 1\n/);
  assert.match(text, /_bucket\{method="m",le="60"\} 2\n/);
  assert.match(text, /_bucket\{method="m",le="\+Inf"\} 3\n/);
  assert.match(text, /_count\{method="m"\} 3\n/);
});

test("E5 metrics: names of servers cannot write their own lines", () => {
  const metrics = new CallMetrics();
  metrics.record({ method: "m", backend: "b", target: 'a"\n\\evil 1' }, "ok", 1);
  const text = prometheusText(families([...metrics.kinds], []));
  assert.match(text, /target="a\\"\\n\\\\evil 1"/);
  assert.ok(
    text.split("\n").every((line) => line === "" || line.startsWith("#") || line.startsWith("mountaineer_")),
  );
});

test("E5 metrics conform to OpenTelemetry's definitions, fractions and all", () => {
  const metrics = new CallMetrics();
  metrics.record({ method: "m", backend: "", target: "" }, "ok", 0.25);
  const measured = {
    name: "x",
    help: "h",
    kind: "gauge",
    values: [{ labels: { a: "b" }, value: 0.5 }],
  } as const;
  const document = metricsDocument(
    families([...metrics.kinds], [measured]),
    { serviceName: "s", version: "1", instanceId: "i" },
    { startMs: 1, endMs: 2 },
  );
  const text = JSON.stringify(decode("metrics", JSON.stringify(document)));
  assert.match(text, /"asDouble":0\.5/);
  assert.match(text, /"bucketCounts":\["0",/);
  assert.throws(() => decode("metrics", '{"resourceMetric":[]}'));
});

const sender = { serviceName: "s", version: "1.2.3", instanceId: "i" };

const id = (length: number): fc.Arbitrary<string> =>
  fc
    .stringMatching(new RegExp(`^[0-9a-f]{${length}}$`))
    .map((hex) => (/^0+$/.test(hex) ? `1${hex.slice(1)}` : hex));
const text = fc.string({ unit: "grapheme", maxLength: 200 });
const whenMs = fc.double({ min: 1, max: 4_000_000_000_000, noNaN: true });

const spans: fc.Arbitrary<Span> = fc.record({
  traceId: id(32),
  spanId: id(16),
  parentSpanId: fc.option(id(16)),
  name: text,
  kind: fc.constantFrom("server", "client"),
  startMs: whenMs,
  endMs: whenMs,
  attributes: fc.array(fc.tuple(text, fc.oneof(text, fc.maxSafeInteger()))),
  error: fc.option(text),
});

const labels = fc.dictionary(fc.constantFrom("method", "backend", "target"), text);
const values = fc.oneof(fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true }));
const described = { name: text, help: text };
const anyFamilies: fc.Arbitrary<Family> = fc.oneof(
  fc.record({
    ...described,
    kind: fc.constantFrom("counter", "gauge"),
    values: fc.array(fc.record({ labels, value: values }), { minLength: 1 }),
  }),
  fc.record({
    ...described,
    kind: fc.constant("histogram"),
    values: fc.array(
      fc.record({
        labels,
        buckets: fc.array(fc.nat()),
        count: fc.nat(),
        sumS: fc.double({ noNaN: true, noDefaultInfinity: true }),
      }),
      { minLength: 1 },
    ),
  }),
);

const conforms = (what: "traces" | "metrics", document: OtlpDocument) =>
  void decode(what, JSON.stringify(document));

test("E5 whatever is traced and measured, it conforms to OpenTelemetry's definitions", () => {
  const period = { startMs: 1, endMs: 1_700_000_000_000.5 };
  const list = { maxLength: 5 };
  fc.assert(fc.property(fc.array(spans, list), (all) => conforms("traces", tracesDocument(all, sender))));
  fc.assert(
    fc.property(fc.array(anyFamilies, list), (all) =>
      conforms("metrics", metricsDocument(all, sender, period)),
    ),
  );
});

const open = { headers: {}, sender, metrics: null } as const;
const span = (index: number): Span => ({
  traceId: "1".repeat(32),
  spanId: index.toString(16).padStart(16, "a"),
  parentSpanId: null,
  name: `span ${index}`,
  kind: "server",
  startMs: 1_700_000_000_000.25,
  endMs: 1_700_000_000_001.5,
  attributes: [["n", index]],
  error: index % 2 === 0 ? null : "-32000",
});

test("E5 spans are sent together, and the rest waits its turn", async (t) => {
  const receiver = await startReceiver(t);
  const clock = createManualClock();
  const exporter = new Exporter({ ...open, endpoint: receiver.endpoint, clock });
  for (let index = 0; index < 3; index++) exporter.add(span(index));
  assert.equal(receiver.spans.length, 0);
  await clock.advance(BATCH_MS);
  await eventually(() => receiver.spans.length === 3);
  assert.equal(receiver.texts.length, 1);
  assert.match(receiver.texts[0] ?? "", /"startTimeUnixNano":"1700000000000250000"/);
  assert.equal(receiver.spans[1]?.attributes["error.type"], "-32000");
  receiver.status = 503;
  exporter.add(span(3));
  await clock.advance(BATCH_MS);
  await eventually(() => exporter.failure);
  assert.match(exporter.failure?.reason ?? "", /answers 503/);
  receiver.status = 200;
  await eventually(async () => {
    await clock.advance(60_000);
    return receiver.spans.length === 4;
  });
  await eventually(() => exporter.failure === null);
  assert.equal(exporter.dropped, 0);
  await exporter[Symbol.asyncDispose]();
  assert.equal(clock.pendingTimers, 0);
});

test("E5 the queue is bounded, and spans that do not fit or are refused are counted", async (t) => {
  const receiver = await startReceiver(t);
  receiver.status = 400;
  const clock = createManualClock();
  const exporter = new Exporter({ ...open, endpoint: receiver.endpoint, clock });
  for (let index = 0; index < MOST_SPANS + 10; index++) exporter.add(span(index));
  assert.ok(exporter.dropped >= 10);
  await eventually(async () => {
    await clock.advance(60_000);
    return exporter.dropped === MOST_SPANS + 10;
  });
  assert.match(exporter.failure?.reason ?? "", /answers 400/);
  await exporter[Symbol.asyncDispose]();
  exporter.add(span(0));
  assert.equal(exporter.dropped, MOST_SPANS + 11);
});

test("E5 a long queue is sent batch after batch at once, and with pauses while the receiver fails", async (t) => {
  const receiver = await startReceiver(t);
  receiver.status = 503;
  const clock = createManualClock();
  const exporter = new Exporter({ ...open, endpoint: receiver.endpoint, clock });
  for (let index = 0; index < MOST_SPANS; index++) exporter.add(span(index));
  const first = await eventually(() => exporter.failure);
  await clock.advance(1);
  receiver.status = 200;
  await eventually(async () => {
    await clock.advance(100);
    return exporter.failure === null;
  });
  assert.ok(clock.monotonicMs() >= 1_000, "the first retry waits");
  const recoveredMs = clock.monotonicMs();
  await eventually(async () => {
    await clock.advance(1);
    return receiver.spans.length === MOST_SPANS;
  });
  assert.ok(clock.monotonicMs() - recoveredMs < BATCH_MS, "the batches follow one another");
  assert.match(first.reason, /answers 503/);
  await exporter[Symbol.asyncDispose]();
});

test("E5 a busy receiver is retried after 1, 2 and 4 s, however much waits, and after 1 s again once it has accepted some", async (t) => {
  const receiver = await startReceiver(t);
  const clock = createManualClock();
  const document = () => ({});
  const metrics = { intervalMs: 3_600_000, document };
  const exporter = new Exporter({ ...open, endpoint: receiver.endpoint, clock, metrics });
  /** It is asked next after so long, and answers so. */
  const asked = async (afterMs: number, status: number): Promise<void> => {
    receiver.status = status;
    const before = receiver.headers.length;
    await clock.advance(afterMs - 1);
    assert.equal(receiver.headers.length, before);
    await clock.advance(1);
    const reason = status === 200 ? "none" : `answers ${status}`;
    await eventually(() => (exporter.failure?.reason ?? "none").endsWith(reason));
    await settle();
  };
  exporter.add(span(0));
  await asked(BATCH_MS, 429);
  const sinceMs = exporter.failure?.sinceMs;
  for (let index = 1; index < 600; index++) exporter.add(span(index));
  await asked(1_000, 503);
  await asked(2_000, 502);
  assert.deepEqual([exporter.failure?.sinceMs, exporter.dropped], [sinceMs, 0]);
  await asked(4_000, 200);
  await asked(BATCH_MS, 504);
  await asked(1_000, 429);
  assert.deepEqual([receiver.headers.length, receiver.spans.length], [6, 512]);
  await exporter[Symbol.asyncDispose]();
  assert.equal(clock.pendingTimers, 0, "nothing is measured any more");
});

test("E5 batches queued at the end are sent, if there is a receiver", async (t) => {
  const receiver = await startReceiver(t);
  const document = () => ({ resourceMetrics: [] });
  const metrics = { intervalMs: 3_600_000, document };
  const exporter = new Exporter({ ...open, endpoint: receiver.endpoint, clock: systemClock, metrics });
  for (let index = 0; index < 600; index++) exporter.add(span(index));
  await exporter[Symbol.asyncDispose]();
  assert.equal(receiver.spans.length, 600);
  assert.ok(receiver.texts.includes('{"resourceMetrics":[]}'));
  const nobody = new Exporter({ ...open, endpoint: "http://127.0.0.1:1", clock: systemClock });
  nobody.add(span(1));
  await nobody[Symbol.asyncDispose]();
});

test("E5 batches queued at the end are sent once, even while an earlier batch is on its way", async (t) => {
  const receiver = await startReceiver(t);
  const exporter = new Exporter({ ...open, endpoint: receiver.endpoint, clock: systemClock });
  for (let index = 0; index < 1_800; index++) exporter.add(span(index));
  await exporter[Symbol.asyncDispose]();
  assert.deepEqual(
    receiver.spans.map(({ name }) => name),
    Array.from({ length: 1_800 }, (_, index) => `span ${index}`),
  );
});

test("E5 nothing is sent once its sender has ended", async (t) => {
  const receiver = await startReceiver(t);
  const exporter = new Exporter({ ...open, endpoint: receiver.endpoint, clock: systemClock });
  await exporter[Symbol.asyncDispose]();
  exporter.add(span(1));
  const address = `${receiver.endpoint}/v1/traces`;
  const ended = { clock: createManualClock(), signal: AbortSignal.abort(), mostBytes: 0 };
  const sent = await boundedRequest({ address, method: "POST", ...ended });
  assert.deepEqual(sent, { kind: "failed", reason: "is no longer needed" });
  assert.deepEqual(receiver.texts, []);
});

const CONFIG: TelemetryConfig = {
  ...{ endpoint: null, protocol: "http/json", headers: {}, traces: true, metrics: false, sample: 1 },
  ...{ intervalMs: 60_000, serviceName: "s", prometheus: false, metricsToken: null },
};
const stored = (name: string) => ({ kind: "stored", name }) as const;

/** Telemetry in the chain of a gateway with one tool, and what became of its secrets. */
function measuring(change: Partial<TelemetryConfig>, environment: Readonly<Record<string, string>> = {}) {
  const redacted: string[] = [];
  const telemetry = new Telemetry(
    { ...CONFIG, ...change },
    {
      ...{ clock: systemClock, environment, version: "1", measured: () => [] },
      redact: (secret) => void redacted.push(secret),
    },
  );
  const services = recordingServices();
  const pool = telemetry.traced(services.pool);
  const served = servingSet(
    [source("a", { tools: ["x"] })],
    { ...services, pool },
    {
      between: [telemetry.middleware],
    },
  );
  const call = () => ask(served, "tools/call", { name: "x" });
  return { telemetry, redacted, services, pool, call };
}

test("E5 the secrets of telemetry are kept out of logs, and without one nothing is sent", async (t) => {
  const receiver = await startReceiver(t);
  const parts = { endpoint: receiver.endpoint, headers: { Authorization: stored("otlp") } };
  const whole = measuring(
    { ...parts, metricsToken: stored("metrics") },
    { "secret:otlp": "Bearer own", "secret:metrics": "scrape-me" },
  );
  await whole.call();
  assert.deepEqual(whole.redacted, ["Bearer own", "scrape-me"]);
  assert.equal(whole.telemetry.failure, null);
  await whole.telemetry[Symbol.asyncDispose]();
  assert.equal(receiver.headers[0]?.["authorization"], "Bearer own");
  const sent = receiver.texts.length;
  for (const environment of [{}, { "secret:otlp": "" }]) {
    const { telemetry, redacted, call } = measuring(parts, environment);
    await call();
    assert.deepEqual(redacted, []);
    assert.match(telemetry.failure?.reason ?? "", /not stored, or not readable: secret otlp$/);
    await telemetry[Symbol.asyncDispose]();
  }
  assert.equal(receiver.texts.length, sent);
});

test("E5 where no traces are sent, calls and their pool stay unchanged", async (t) => {
  const receiver = await startReceiver(t);
  for (const off of [{ endpoint: null }, { endpoint: receiver.endpoint, traces: false }]) {
    const { telemetry, services, pool, call } = measuring(off);
    assert.equal(pool, services.pool);
    await call();
    assert.deepEqual(services.calls[0]?.params, { name: "x" });
    assert.deepEqual([telemetry.failure, telemetry.dropped], [null, 0]);
    await telemetry[Symbol.asyncDispose]();
  }
  assert.deepEqual(receiver.texts, []);
  // A call of the gateway's own belongs to no trace.
  const { telemetry, services, pool } = measuring({ endpoint: receiver.endpoint });
  const signal = new AbortController().signal;
  const handle = { client: client(), id: 1, notify() {}, request: async () => null, congested: null };
  await pool.call("a", { method: "ping", params: undefined, handle, signal });
  assert.equal(services.calls[0]?.params, undefined);
  await telemetry[Symbol.asyncDispose]();
  assert.deepEqual(receiver.texts, []);
});

test("E5 /metrics without a token is only for this machine, and is absent unless it is configured", () => {
  const { telemetry } = measuring({ prometheus: true });
  assert.deepEqual(telemetry.metrics("Bearer any", false), { kind: "foreign" });
  assert.equal(telemetry.metrics(undefined, true)?.kind, "text");
  assert.equal(measuring({}).telemetry.metrics(undefined, true), null);
});
