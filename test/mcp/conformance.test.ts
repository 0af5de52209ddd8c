// The official conformance suites through the gateway: a part of what `npm run conformance` runs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CONFORMANCE_MODERN_SERVER, CONFORMANCE_SERVER } from "./fixture-programs.ts";
import { nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import {
  type ConformanceResult,
  MODERN_SUITE,
  onlyScenario,
  runConformance,
  SUITES,
  totals,
} from "./run-conformance.ts";

function failuresOf(result: ConformanceResult): string[] {
  return [...result].flatMap(([scenario, checks]) =>
    checks
      .filter(({ status }) => status === "FAILURE")
      .map(({ id, errorMessage }) => `${scenario} ${id}: ${errorMessage}`),
  );
}

const [OLDER_SUITE] = SUITES;

test("D1 suite 0.1.16 passes through the gateway as it does directly", async (t) => {
  assert.ok(OLDER_SUITE !== undefined);
  const fixture = nodeBackend(CONFORMANCE_SERVER, ["--stdio"]);
  const rig = await startGatewayRig(t, { backends: { fixture } });
  await rig.untilReady("fixture");
  const result = await runConformance(t, OLDER_SUITE, rig.url);
  assert.deepEqual(failuresOf(result), []);
  // Lists come as JSON here, and `server-sse-streams-functional` says then that streams are optional.
  assert.deepEqual(totals(result), { passed: OLDER_SUITE.alone - 1, failed: 0 });
});

/** By what stands behind the gateway; a client of 2026-07-28 is in front. */
const SLICES = {
  "2025-11-25": [CONFORMANCE_SERVER, ["input-required-result-multiple-input-requests"]],
  "2026-07-28": [
    CONFORMANCE_MODERN_SERVER,
    [
      "server-stateless",
      "input-required-result-tampered-state",
      "tasks-mrtr-composition",
      "tasks-required-task-error",
    ],
  ],
} as const;

for (const [revision, [program, scenarios]] of Object.entries(SLICES))
  test(`D1 scenarios of 2026-07-28 pass through the gateway, a server of ${revision} behind it`, async (t) => {
    const fixture = nodeBackend(program, ["--stdio"]);
    const rig = await startGatewayRig(t, { backends: { fixture } });
    await rig.untilReady("fixture");
    for (const scenario of scenarios) {
      const result = await runConformance(t, onlyScenario(MODERN_SUITE, scenario), rig.url);
      assert.deepEqual(failuresOf(result), []);
      assert.ok(totals(result).passed > 0);
    }
  });
