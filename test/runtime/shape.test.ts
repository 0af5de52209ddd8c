// Shapes of JSON values: faults and their paths, and the members that a reader returns.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  choice,
  count,
  flag,
  list,
  nullable,
  number,
  numberThat,
  object,
  optional,
  reader,
  record,
  strictObject,
  text,
  textThat,
  union,
} from "../../src/runtime/shape.ts";

test("a fault names its position, from the root, and the value expected there", () => {
  const share = object({
    name: text,
    held: nullable(choice("fallback", "unmounted")),
    port: optional(number),
  });
  const report = object({ shares: list(share), words: record(list(flag)) });
  const fine = { name: "CORE", held: null };
  const cases: readonly [unknown, string, string][] = [
    [null, "", "an object"],
    [[], "", "an object"],
    [{ words: {} }, "shares", "a list"],
    [{ shares: {}, words: {} }, "shares", "a list"],
    [{ shares: [fine, { name: 1, held: null }], words: {} }, "shares.1.name", "a text"],
    [{ shares: [{ name: "" }], words: {} }, "shares.0.held", "fallback or unmounted, or null"],
    [{ shares: [{ ...fine, held: "tb" }], words: {} }, "shares.0.held", "fallback or unmounted"],
    [{ shares: [{ ...fine, port: null }], words: {} }, "shares.0.port", "a number"],
    [{ shares: [{ ...fine, port: undefined }], words: {} }, "shares.0.port", "a number"],
    [{ shares: [], words: { a: [true], b: [true, 0] } }, "words.b.1", "true or false"],
  ];
  for (const [value, path, expected] of cases)
    assert.deepEqual(report.faultIn(value), { path, expected }, JSON.stringify(value));
  assert.equal(report.faultIn({ shares: [{ ...fine, port: 1, more: {} }], words: { a: [] }, more: 1 }), null);
});

test("inherited members do not count", () => {
  assert.deepEqual(object({ constructor: text }).faultIn({}), { path: "constructor", expected: "a text" });
  assert.deepEqual(strictObject({ a: optional(text) }).faultIn({ toString: 1 }), {
    path: "toString",
    expected: "nothing of that name",
  });
});

test("the fault of a union is the one of the shape that matches the furthest", () => {
  const event = union(
    object({ kind: choice("gap") }),
    object({ kind: choice("sync"), event: object({ id: count }) }),
  );
  assert.deepEqual(event.faultIn({ kind: "sync", event: { id: -1 } }), {
    path: "event.id",
    expected: "a whole number from 0",
  });
  assert.equal(event.faultIn({ kind: "gap" }), null);
});

test("numbers are finite, and whole ones are counted from 0", () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, "1", null])
    assert.notEqual(number.faultIn(value), null);
  for (const value of [-1, 1.5, Number.NaN]) assert.notEqual(count.faultIn(value), null);
  assert.equal(number.faultIn(-1.5) ?? count.faultIn(0), null);
});

test("a reader takes the members that the shape names, and none of an invalid value", () => {
  const read = reader(
    object({
      name: textThat("a short text", ({ length }) => length < 4),
      port: numberThat("a port", (port) => port > 0),
      note: optional(text),
    }),
  );
  assert.deepEqual(read({ name: "NAS", port: 445, more: 1 }), { name: "NAS", port: 445 });
  assert.deepEqual(read({ name: "NAS", port: 445, note: "" }), { name: "NAS", port: 445, note: "" });
  for (const value of [
    null,
    [],
    "{}",
    {},
    { name: "NAS" },
    { name: "LONG", port: 1 },
    { name: "NAS", port: 0 },
  ])
    assert.equal(read(value), null, JSON.stringify(value));
  assert.equal(reader(choice("tb", "fallback"))("tb"), "tb");
  assert.equal(reader(choice("tb", "fallback"))("none"), null);
});
