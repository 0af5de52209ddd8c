// The official conformance suites through the gateway: scenario by scenario as the fixture alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CONFORMANCE_SERVER, startHttpFixture } from "./fixture-programs.ts";
import { nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import { type Check, type ConformanceResult, runConformance, SUITES, totals } from "./run-conformance.ts";

/** Warnings that only a call answered by a stream gets; neither server has what they ask for. */
const ABOUT_CALL_STREAMS: ReadonlySet<string> = new Set([
  "server-sse-priming-event",
  "server-sse-retry-field",
]);

/** `id: status`, of what is passed or failed. */
function judged(checks: readonly Check[] | undefined): string[] {
  return (checks ?? [])
    .filter(({ id, status }) => status !== "INFO" && !ABOUT_CALL_STREAMS.has(id))
    .map(({ id, status, errorMessage }) =>
      status === "SUCCESS" ? `${id}: ${status}` : `${id}: ${status}: ${errorMessage ?? ""}`,
    )
    .sort();
}

function assertSame(through: ConformanceResult, alone: ConformanceResult): void {
  assert.deepEqual([...through.keys()], [...alone.keys()]);
  for (const [scenario, checks] of alone)
    assert.deepEqual(judged(through.get(scenario)), judged(checks), scenario);
}

for (const suite of SUITES) {
  test(`suite ${suite.version} passes through the gateway as it does alone, behind stdio and behind HTTP`, async (t) => {
    const fixture = await startHttpFixture(t, CONFORMANCE_SERVER);
    const alone = await runConformance(t, suite, fixture.url);
    const behind: Readonly<Record<string, Section>> = {
      stdio: nodeBackend(CONFORMANCE_SERVER, ["--stdio"]),
      http: { type: "streamable-http", url: fixture.url },
    };
    for (const [name, section] of Object.entries(behind)) {
      const rig = await startGatewayRig(t, { backends: { [name]: section } });
      await rig.untilReady(name);
      const through = await runConformance(t, suite, rig.url);
      const { passed, failed } = totals(through);
      t.diagnostic(
        `behind ${name}: ${passed} passed, ${failed} failed; alone ${totals(alone).passed} passed`,
      );
      assertSame(through, alone);
      assert.equal(passed, totals(alone).passed);
      assert.equal(failed, 0);
      await rig.stop();
    }
  });
}
