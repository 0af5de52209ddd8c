import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isSecretName,
  missingHint,
  missingText,
  oneMissingText,
  parseReference,
  referenceText,
  resolveReference,
} from "../../src/secrets/reference.ts";

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

test("a stored secret is secret:NAME, alone or in ${}, and nothing else", () => {
  const nas = { kind: "stored", name: "nas" } as const;
  assert.deepEqual(parseReference("secret:nas"), nas);
  assert.deepEqual(parseReference("${secret:nas}"), nas);
  assert.deepEqual(parseReference("secret:a.B-3_c"), { kind: "stored", name: "a.B-3_c" });
  assert.equal(referenceText(nas), "secret:nas");
  const others = [
    "secret:",
    "secret: nas",
    "secret:-x",
    "secret:a/b",
    "secret:ä",
    "Secret:nas",
    "x secret:nas",
  ];
  others.push("secret:nas ", "${secret:}", "${secret:a b}", `secret:${"x".repeat(65)}`, "secret:a\n");
  for (const text of others) assert.equal(parseReference(text), null, text);
  assert.ok(isSecretName("x".repeat(64)));
  assert.ok(!isSecretName("__proto__"));
});

test("a stored secret is found under its own key, and is no variable of that name", () => {
  const reference = parseReference("secret:nas");
  assert.ok(reference !== null);
  assert.deepEqual(resolveReference(reference, { nas: "a variable" }), { ok: false, missing: "secret:nas" });
  assert.deepEqual(resolveReference(reference, { "secret:nas": "word" }), { ok: true, value: "word" });
});

test("what is missing is told by its kind, with what to do", () => {
  assert.equal(oneMissingText("A"), "the variable A is not set");
  assert.match(oneMissingText("secret:nas"), /^no secret nas is kept/);
  assert.match(missingText(["A", "secret:nas", "B"]), /^not set in the environment: A, B; not kept .*: nas$/);
  assert.match(missingHint(["secret:nas"]), /^mountaineer secret set nas$/);
  assert.match(missingHint(["A", "secret:nas"]), /^Set A in the environment.* mountaineer secret set nas/);
});
