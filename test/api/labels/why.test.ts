import assert from "node:assert/strict";
import { test } from "node:test";
import type { BackendStatus } from "../../../src/api/contract/contract.ts";
import { backendWhy } from "../../../src/api/labels/why.ts";
import { sampleBackend } from "../sample-gateway.ts";

const serves = { rule: "serve calls", why: "the server answers", passed_over: [] };

const ROWS: readonly (readonly [string, Partial<BackendStatus>, string])[] = [
  ["whose calls all fail", { recent: { calls: 5, errors: 5 } }, "all 5 calls"],
  ["with a call that waits", { waiting_calls: { count: 1, longest_ms: 45_000 } }, "1 call has waited 45 s"],
  ["that only serves", {}, "the server answers"],
];
for (const [what, changes, why] of ROWS)
  test(`F7 a server ${what} gives that as the reason`, () => {
    const found = backendWhy(
      sampleBackend({ phase: "Ready", explanation: serves, conditions: [], ...changes }),
    );
    assert.ok(found.why.startsWith(why), found.why);
  });
