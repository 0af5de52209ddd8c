// Secrets in every spelling they may come in.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createRedaction } from "../../../src/runtime/log/log-redaction.ts";

describe("redaction", () => {
  it("leaves text alone while nothing is registered, and for an empty secret", () => {
    const { redact, clean } = createRedaction();
    assert.equal(clean("a b"), "a b");
    redact("");
    assert.equal(clean("a b"), "a b");
  });

  it("takes out a secret wherever it stands, and all of them", () => {
    const { redact, clean } = createRedaction();
    redact("hunter2");
    redact("s3cret");
    assert.equal(clean("hunter2/s3cret:xhunter2x"), "[redacted]/[redacted]:x[redacted]x");
  });

  it("takes a secret literally", () => {
    const { redact, clean } = createRedaction();
    const odd = "a.*+?^${}()|[]\\/-b$&";
    redact(odd);
    assert.equal(clean(`<${odd}>`), "<[redacted]>");
    assert.equal(clean("axxb"), "axxb");
  });

  it("knows it inside JSON and inside a URL", () => {
    const { redact, clean } = createRedaction();
    const secret = 'p"ä\\ß &/\n';
    redact(secret);
    for (const text of [
      JSON.stringify({ secret }),
      encodeURIComponent(secret),
      `smb://u:${encodeURI(secret)}@h`,
    ]) {
      assert.match(clean(text), /\[redacted\]/u);
      assert.doesNotMatch(clean(text), /ä|%C3%A4/u);
    }
  });

  it("leaves no rest of a secret that begins like a shorter one", () => {
    const { redact, clean } = createRedaction();
    redact("abc");
    redact("abcdef");
    assert.equal(clean("abcdef abc"), "[redacted] [redacted]");
  });

  it("takes broken UTF-16 too", () => {
    const { redact, clean } = createRedaction();
    redact("x\ud800y");
    assert.equal(clean("<x\ud800y>"), "<[redacted]>");
  });
});
