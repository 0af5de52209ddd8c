import assert from "node:assert/strict";
import { test } from "node:test";
import {
  resolveSecretRecord,
  resolveSecretText,
} from "../../../../src/gateway/backends/pool/secret-values.ts";
import type { SecretReference } from "../../../../src/secrets/reference.ts";

const variable = (name: string): SecretReference => ({ kind: "environment", variable: name });

test("references become their values, which are told apart as secrets", () => {
  assert.deepEqual(resolveSecretText(["Bearer ", variable("TOKEN")], { TOKEN: "s3cret" }), {
    ok: true,
    value: "Bearer s3cret",
    secrets: ["s3cret"],
  });
  assert.deepEqual(resolveSecretText([], {}), { ok: true, value: "", secrets: [] });
  assert.deepEqual(resolveSecretText([variable("EMPTY")], { EMPTY: "" }), {
    ok: true,
    value: "",
    secrets: [],
  });
});

test("every variable that is missing is named once", () => {
  const texts = {
    A: [variable("ONE"), "-", variable("TWO")],
    B: [variable("TWO")],
    C: ["plain"],
    D: [variable("constructor")],
  };
  assert.deepEqual(resolveSecretRecord(texts, { ONE: "1" }), { ok: false, missing: ["TWO", "constructor"] });
});

test("a record keeps its names, awkward ones too", () => {
  const texts = JSON.parse('{"__proto__": ["x"], "A": ["1", "2"]}');
  const resolved = resolveSecretRecord(texts, {});
  assert.ok(resolved.ok);
  assert.deepEqual(Object.entries(resolved.values), [
    ["__proto__", "x"],
    ["A", "12"],
  ]);
});
