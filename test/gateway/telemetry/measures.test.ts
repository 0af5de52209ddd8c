import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CallMetrics, MOST_KINDS } from "../../../src/gateway/telemetry/call-metrics.ts";
import { families, prometheusText } from "../../../src/gateway/telemetry/metric-families.ts";
import { encodeOtlp, metricsDocument } from "../../../src/gateway/telemetry/otlp-document.ts";
import {
  contextOf,
  readContext,
  traceparentOf,
  withContext,
} from "../../../src/gateway/telemetry/telemetry.ts";
import { decode } from "./otlp-receiver.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

describe("trace context", () => {
  test("E5 is read as W3C spells it, and nothing else is", () => {
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
    assert.equal(readContext(`00-${TRACE}-${SPAN}-01`, "a\nb")?.state, null);
  });

  test("E5 is written beside whatever else a request says of itself", () => {
    const context = { traceId: TRACE, spanId: SPAN, sampled: true, state: "a=1" };
    const params = { name: "x", _meta: { progressToken: 1, traceparent: "old", tracestate: "old" } };
    assert.deepEqual(withContext(params, context), {
      name: "x",
      _meta: { progressToken: 1, traceparent: traceparentOf(context), tracestate: "a=1" },
    });
    assert.deepEqual(params._meta.traceparent, "old", "what came is as it came");
    assert.deepEqual(contextOf(withContext(undefined, context), undefined), context);
  });
});

describe("metrics", () => {
  test("E5 are of a bounded number of kinds, whatever is published", () => {
    const metrics = new CallMetrics();
    for (let index = 0; index < MOST_KINDS + 500; index++)
      metrics.record({ method: "tools/call", backend: "b", target: `tool ${index}` }, "ok", 0.001);
    const kinds = [...metrics.kinds];
    assert.equal(kinds.length, MOST_KINDS + 1);
    assert.equal(kinds.find(({ target }) => target === "(other)")?.count, 500);
  });

  test("E5 durations fall into buckets, the last of which has no bound", () => {
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

  test("E5 names of servers cannot write lines of their own", () => {
    const metrics = new CallMetrics();
    metrics.record({ method: "m", backend: "b", target: 'a"\n\\evil 1' }, "ok", 1);
    const text = prometheusText(families([...metrics.kinds], []));
    assert.match(text, /target="a\\"\\n\\\\evil 1"/);
    assert.ok(
      text
        .split("\n")
        .every((line) => line === "" || line.startsWith("#") || line.startsWith("mountaineer_")),
    );
  });

  test("E5 are what OpenTelemetry's definitions allow, fractions and all", () => {
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
    for (const protocol of ["http/json", "http/protobuf"] as const) {
      const { type, bytes } = encodeOtlp(document, protocol);
      const text = JSON.stringify(decode("metrics", type, bytes));
      assert.match(text, /"asDouble":0\.5/, protocol);
      assert.match(text, /"bucketCounts":\["0",/, protocol);
    }
    assert.throws(() => decode("metrics", "application/json", Buffer.from('{"resourceMetric":[]}')));
  });
});
