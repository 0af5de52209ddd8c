import assert from "node:assert/strict";
import { test } from "node:test";
import { phaseWords, waitingText } from "../../../src/api/words/backend-words.ts";
import { sampleBackend } from "../sample-gateway.ts";

test("people read one word for a backend that is being started, and else the phase's own name", () => {
  assert.deepEqual(
    ["Initializing", "Ready", "Failed"].map((phase) => phaseWords(phase).text),
    ["Starting", "Ready", "Failed"],
  );
});

test("C3 calls that have waited long are told in words", () => {
  assert.equal(waitingText(sampleBackend()), null);
  const text = (count: number, longest_ms: number) => waitingText({ waiting_calls: { count, longest_ms } });
  assert.equal(text(1, 45_900), "1 call has waited 45 s");
  assert.equal(text(3, 125_000), "3 calls have waited up to 2 min");
});
