import assert from "node:assert/strict";
import { test } from "node:test";
import { parseReference, referenceText, resolveReference } from "../../src/secrets/reference.ts";

test("a reference is one variable in ${} and nothing else", () => {
  assert.deepEqual(parseReference("${NAS_PASSWORD}"), { kind: "environment", variable: "NAS_PASSWORD" });
  assert.deepEqual(parseReference("${_1}"), { kind: "environment", variable: "_1" });
  const others = [
    "",
    "NAS",
    "$NAS",
    "${}",
    "${1A}",
    "${A-B}",
    "${A} ",
    " ${A}",
    "x${A}",
    "${A}${B}",
    "${A\n}",
    "${ä}",
    "${A:-b}",
  ];
  for (const text of others) assert.equal(parseReference(text), null, text);
});

test("a reference reads back as it was written", () => {
  const reference = parseReference("${NAS_PASSWORD}");
  assert.ok(reference !== null);
  assert.equal(referenceText(reference), "${NAS_PASSWORD}");
});

test("an unset variable is named, an empty one is a value", () => {
  const reference = { kind: "environment", variable: "A" } as const;
  assert.deepEqual(resolveReference(reference, {}), { ok: false, missing: "A" });
  assert.deepEqual(resolveReference(reference, { A: undefined }), { ok: false, missing: "A" });
  assert.deepEqual(resolveReference(reference, { A: "" }), { ok: true, value: "" });
  assert.deepEqual(resolveReference(reference, { A: "p w" }), { ok: true, value: "p w" });
});

test("what every object inherits is no variable", () => {
  for (const variable of ["constructor", "toString", "__proto__"]) {
    assert.deepEqual(resolveReference({ kind: "environment", variable }, {}), {
      ok: false,
      missing: variable,
    });
    assert.deepEqual(resolveReference({ kind: "environment", variable }, process.env), {
      ok: false,
      missing: variable,
    });
  }
});
