import assert from "node:assert/strict";
import { test } from "node:test";
import { backendPhases } from "../../src/api/backend-phases.ts";
import { gatewayReport, sampleBackend } from "./sample-gateway.ts";
import { sampleReport } from "./sample-report.ts";

test("the phases of a status are those of its enabled backends; without a gateway there are none to have", () => {
  const backends = [
    sampleBackend(),
    sampleBackend({ phase: "Initializing" }),
    sampleBackend({ phase: "Pending", enabled: false }),
  ];
  assert.deepEqual(backendPhases({ ...gatewayReport(), backends }), ["Ready", "Initializing"]);
  assert.equal(backendPhases(sampleReport()), null);
});

test("a status of another version is understood as far as that goes", () => {
  assert.deepEqual(
    backendPhases({ gateway: {}, backends: [{ enabled: true, phase: "Dreaming" }, 3, null] }),
    ["Dreaming"],
  );
  assert.deepEqual(backendPhases({ gateway: 1, backends: {} }), []);
  for (const report of [null, 3, "x", [], {}]) assert.equal(backendPhases(report), null);
});
