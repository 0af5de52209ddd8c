import assert from "node:assert/strict";
import { test } from "node:test";
import { reasonFor, type Situation } from "../../scripts/conformance/reasons.ts";

const bridged: Situation = {
  front: "2026-07-28",
  back: "2025-11-25",
  alone: false,
  shared: true,
  scenario: "input-required-result-basic-sampling",
  message:
    'JSON-RPC error: cannot tell which client this belongs to; set instances = "per-client" for backend a',
};

test("D1 a shared process that cannot say whose question it is excuses a check that asks, and no other", () => {
  assert.match(String(reasonFor(bridged)), /a shared process/u);
  const unexcused: Partial<Situation>[] = [
    { message: "JSON-RPC error: internal error" },
    { message: "JSON-RPC error: this requestState is not valid for this request" },
    { message: "Server did not return a JSON-RPC error for tampered requestState." },
    { scenario: "tools-call-simple-text" },
    { shared: false },
    { back: "2026-07-28" },
    { front: "2025-11-25" },
  ];
  for (const other of unexcused)
    assert.equal(reasonFor({ ...bridged, ...other }), null, JSON.stringify(other));
});
