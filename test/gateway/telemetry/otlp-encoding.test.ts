// Both encodings of what is sent, read back by OpenTelemetry's own definitions: they say the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Family } from "../../../src/gateway/telemetry/metric-families.ts";
import {
  encodeOtlp,
  metricsDocument,
  type OtlpDocument,
  tracesDocument,
} from "../../../src/gateway/telemetry/otlp-document.ts";
import type { Span } from "../../../src/gateway/telemetry/span.ts";
import { decode } from "./otlp-receiver.ts";

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
const families: fc.Arbitrary<Family> = fc.record({
  name: text,
  help: text,
  unit: fc.constantFrom("", "s"),
  points: fc.oneof(
    fc.record({
      kind: fc.constantFrom("counter", "gauge"),
      values: fc.array(fc.record({ labels, value: values })),
    }),
    fc.record({
      kind: fc.constant("histogram"),
      values: fc.array(
        fc.record({
          labels,
          bounds: fc.array(fc.double({ min: 0, max: 1e6, noNaN: true })),
          buckets: fc.array(fc.nat()),
          count: fc.nat(),
          sum: fc.double({ noNaN: true, noDefaultInfinity: true }),
        }),
      ),
    }),
  ),
});

function saysTheSame(what: "traces" | "metrics", document: OtlpDocument): void {
  const [json, wire] = (["http/json", "http/protobuf"] as const).map((protocol) => {
    const { type, bytes } = encodeOtlp(document, protocol);
    return withoutEmptyLists(decode(what, type, bytes));
  });
  assert.deepEqual(wire, json);
}

/** The wire has no word for a list without anything in it; JSON no zero below zero. */
function withoutEmptyLists(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_, part) =>
    Array.isArray(part) && part.length === 0 ? undefined : part,
  );
}

test("E5 traces say the same in protobuf and in JSON", () => {
  fc.assert(
    fc.property(fc.array(spans, { maxLength: 5 }), (list) =>
      saysTheSame("traces", tracesDocument(list, sender)),
    ),
  );
});

test("E5 metrics say the same in protobuf and in JSON", () => {
  const period = { startMs: 1, endMs: 1_700_000_000_000.5 };
  fc.assert(
    fc.property(fc.array(families, { maxLength: 5 }), (list) =>
      saysTheSame("metrics", metricsDocument(list, sender, period)),
    ),
  );
});

test("E5 the receiver refuses what the definitions do not have", () => {
  const { type, bytes } = encodeOtlp(
    tracesDocument(
      [
        {
          traceId: "1".repeat(32),
          spanId: "2".repeat(16),
          parentSpanId: null,
          name: "n",
          kind: "server",
          startMs: 1,
          endMs: 2,
          attributes: [],
          error: null,
        },
      ],
      sender,
    ),
    "http/protobuf",
  );
  assert.ok(decode("traces", type, bytes));
  assert.throws(() => decode("metrics", type, bytes));
  assert.throws(() => decode("traces", type, bytes.subarray(0, -1)));
  assert.throws(() => decode("traces", type, Buffer.concat([bytes, Buffer.from([0x78, 1])])), /no field 15/);
  assert.throws(() => decode("traces", "application/json", Buffer.from('{"resourceSpan":[]}')));
});
