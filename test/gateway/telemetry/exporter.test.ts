import assert from "node:assert/strict";
import { test } from "node:test";
import { BATCH_MS, Exporter, MOST_SPANS, sendDocument } from "../../../src/gateway/telemetry/exporter.ts";
import { encodeOtlp, tracesDocument } from "../../../src/gateway/telemetry/otlp-document.ts";
import type { Span } from "../../../src/gateway/telemetry/span.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { startReceiver } from "./otlp-receiver.ts";

const sender = { serviceName: "s", version: "1", instanceId: "i" };
const open = { protocol: "http/protobuf", headers: {}, sender, metrics: null } as const;
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

test("E5 spans go out together, and what cannot go waits its turn", async (t) => {
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

test("E5 the queue is bounded, what does not fit is counted, and so is what is refused", async (t) => {
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

test("E5 what is queued at the end is sent, if anybody is there", async (t) => {
  const receiver = await startReceiver(t);
  const document = () =>
    ({ message: "ExportMetricsServiceRequest", fields: { resourceMetrics: [] } }) as const;
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

test("E5 nothing is sent once its sender has ended", async (t) => {
  const receiver = await startReceiver(t);
  const ended = { headers: {}, clock: createManualClock(), signal: AbortSignal.abort() };
  const document = encodeOtlp(tracesDocument([], sender), "http/protobuf");
  const sent = await sendDocument(`${receiver.endpoint}/v1/traces`, document, ended);
  assert.deepEqual(sent, { kind: "later", reason: "is asked no more" });
  assert.deepEqual(receiver.texts, []);
});
