import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveSecrets } from "../../../../src/gateway/backends/pool/connection-key.ts";
import type { SecretReference } from "../../../../src/secrets/reference.ts";

const variable = (name: string): SecretReference => ({ kind: "environment", variable: name });

test("references become their values, which are told apart as secrets", () => {
  const resolved = (...text: (string | SecretReference)[]) =>
    resolveSecrets({ text }, { TOKEN: "s3cret", EMPTY: "" });
  assert.deepEqual(
    [resolved("Bearer ", variable("TOKEN")), resolved(), resolved(variable("EMPTY"))].map(
      (outcome) => outcome.ok && { text: outcome.values["text"], secrets: outcome.secrets },
    ),
    [
      { text: "Bearer s3cret", secrets: ["s3cret"] },
      { text: "", secrets: [] },
      { text: "", secrets: [] },
    ],
  );
});

test("every variable that is missing is named once", () => {
  const texts = {
    A: [variable("ONE"), "-", variable("TWO")],
    B: [variable("TWO")],
    C: ["plain"],
    D: [variable("constructor")],
  };
  assert.deepEqual(resolveSecrets(texts, { ONE: "1" }), { ok: false, missing: ["TWO", "constructor"] });
});

test("a record keeps its names, awkward ones too", () => {
  const texts = JSON.parse('{"__proto__": ["x"], "A": ["1", "2"]}');
  const resolved = resolveSecrets(texts, {});
  assert.ok(resolved.ok);
  assert.deepEqual(Object.entries(resolved.values), [
    ["__proto__", "x"],
    ["A", "12"],
  ]);
});
