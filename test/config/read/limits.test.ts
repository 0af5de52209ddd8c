// What `[limits]` may say, and what it means.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_LIMITS } from "../../../src/config/limits.ts";
import { assertEach } from "../../support/assert-each.ts";
import { accepted, refused, where } from "../support.ts";

test("E4 limits have defaults, the same with an empty section", async () => {
  for (const text of ["", "[limits]\n"]) {
    const { config } = await accepted(text);
    assert.deepEqual(config.limits, DEFAULT_LIMITS);
  }
});

test("E4 a rate brings its burst, 0 is none, and fractions are allowed", async () => {
  const { config } = await accepted("[limits]\ncalls_per_second = 0.5\nresult_mb = 0.25\nsessions = 3\n");
  const { overrides, ...limits } = config.limits;
  assert.deepEqual(overrides, []);
  assert.deepEqual(limits, {
    callsPerSecond: 0.5,
    burst: 3,
    callsInFlight: 512,
    sessions: 3,
    resultBytes: 256 * 1024,
  });
  const { config: none } = await accepted("[limits]\ncalls_per_second = 0\nresult_mb = 0\n");
  assert.deepEqual([none.limits.callsPerSecond, none.limits.resultBytes], [null, null]);
});

test("E4 an override has what it says, and the rest of [limits]", async () => {
  const { config } = await accepted(`[limits]
calls_per_second = 10
burst = 20
calls_in_flight = 5
[[limits.overrides]]
users = ["ci-*"]
calls_per_second = 100
[[limits.overrides]]
roles = ["batch"]
calls_in_flight = 50
result_mb = 0
`);
  const [ci, batch] = config.limits.overrides;
  assert.deepEqual(ci, {
    users: ["ci-*"],
    roles: null,
    limits: {
      callsPerSecond: 100,
      burst: 500,
      callsInFlight: 5,
      sessions: 500,
      resultBytes: 16 * 1024 * 1024,
    },
  });
  assert.deepEqual(batch, {
    users: null,
    roles: ["batch"],
    limits: { callsPerSecond: 10, burst: 20, callsInFlight: 50, sessions: 500, resultBytes: null },
  });
});

test("E4 mistakes name the key, and a block that hides those below it is warned of", async () => {
  const mistakes = await refused("[limits]\ncalls_in_flight = 0\nsessions = 2.5\ncalls = 3\n");
  assert.deepEqual(mistakes.map(where).length, 3);
  const { warnings } = await accepted(
    "[[limits.overrides]]\nsessions = 3\n[[limits.overrides]]\nusers = ['ann']\n",
  );
  assertEach(warnings, ({ path }) => path, ["limits.overrides[0]"]);
});
