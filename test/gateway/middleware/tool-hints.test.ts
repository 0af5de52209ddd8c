import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import { hasHint, hintsOf } from "../../../src/gateway/middleware/tool-hints.ts";

const CASES: readonly (readonly [annotations: unknown, destructive: boolean, harmlessUnsaid: boolean])[] = [
  [undefined, true, false],
  [{}, true, false],
  [{ title: "Delete" }, true, false],
  ["none", true, false],
  [{ readOnlyHint: false }, true, false],
  [{ readOnlyHint: true }, false, false],
  [{ readOnlyHint: true, destructiveHint: true }, false, false],
  [{ destructiveHint: false }, false, false],
  [{ destructiveHint: true }, true, true],
  [{ destructiveHint: "yes" }, true, false],
];

test("E2 a tool is destructive by the protocol's defaults, or as the configuration reads silence", () => {
  for (const [annotations, destructive, harmlessUnsaid] of CASES) {
    const tool: JsonObject = { name: "t", annotations };
    assert.equal(hintsOf(tool, "destructive").destructive, destructive, JSON.stringify(annotations));
    assert.equal(hintsOf(tool, "harmless").destructive, harmlessUnsaid, JSON.stringify(annotations));
  }
});

test("E2 each hint and its negation are opposite", () => {
  for (const [annotations] of CASES) {
    const hints = hintsOf({ name: "t", annotations }, "destructive");
    for (const hint of ["read_only", "destructive", "idempotent", "open_world"] as const) {
      assert.notEqual(hasHint(hints, hint), hasHint(hints, `not_${hint}`));
    }
  }
  const hints = hintsOf({ annotations: { idempotentHint: true, openWorldHint: false } }, "harmless");
  assert.deepEqual(hints, { read_only: false, destructive: false, idempotent: true, open_world: false });
});
