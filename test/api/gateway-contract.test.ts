import assert from "node:assert/strict";
import { test } from "node:test";
import { catalogReportShape } from "../../src/api/catalog-contract.ts";
import {
  backendLogsReportShape,
  backendStatusShape,
  callReportShape,
  gatewayStatusShape,
  restartReportShape,
  statusReportShape,
  toolEntryShape,
  toolsReportShape,
} from "../../src/api/contract.ts";
import { approveToolsReportShape, toolChangesReportShape } from "../../src/api/tool-changes-contract.ts";
import { gatewayReport, sampleBackend, sampleCatalog, sampleToolChange } from "./sample-gateway.ts";

test("pin: the fields of what is told about the gateway, in the order in which they are printed", () => {
  const fields = (shape: { fields: object }): string[] => Object.keys(shape.fields);
  assert.deepEqual(fields(gatewayStatusShape), [
    "url",
    "sessions",
    "in_flight",
    "tools",
    "resources",
    "resource_templates",
    "prompts",
    "conditions",
  ]);
  assert.deepEqual(fields(backendStatusShape), [
    "name",
    "group",
    "type",
    "enabled",
    "phase",
    "reason",
    "since",
    "pid",
    "server",
    "protocol_version",
    "instances",
    "in_flight",
    "waiting_calls",
    "draining",
    "calls",
    "errors",
    "latency_ms",
    "restarts",
    "retry_at",
    "last_error",
    "tools",
    "resources",
    "prompts",
    "withheld_tools",
    "routes",
    "together",
    "conditions",
  ]);
  assert.deepEqual(fields(toolsReportShape), ["tools"]);
  assert.deepEqual(fields(toolEntryShape), [
    "name",
    "backend",
    "original_name",
    "description",
    "input_schema",
    "places",
  ]);
  assert.deepEqual(fields(callReportShape), ["result", "error"]);
  assert.deepEqual(fields(restartReportShape), ["restarted"]);
  assert.deepEqual(fields(backendLogsReportShape), ["lines"]);
});

test("E3 pin: the fields of what is told about tools that are not as they were approved", () => {
  assert.deepEqual(Object.keys(toolChangesReportShape.fields), ["changes", "unseen", "lost"]);
  assert.deepEqual(Object.keys(approveToolsReportShape.fields), ["approved", "left"]);
  const report = (change: object): object => ({
    changes: [{ ...sampleToolChange(), ...change }],
    unseen: [{ backend: "files", kind: "tool", entry: "read", faults: [] }],
    lost: null,
  });
  assert.equal(toolChangesReportShape.faultIn(report({ fleet: 1 })), null);
  assert.equal(toolChangesReportShape.faultIn(report({ members: null, published_as: null })), null);
  for (const wrong of [{ kind: "gone" }, { withheld: 1 }, { digest: null }, { members: [{ member: "x" }] }]) {
    assert.notEqual(toolChangesReportShape.faultIn(report(wrong)), null, JSON.stringify(wrong));
  }
});

test("a gateway's report passes, also with what a newer daemon adds; a phase that is none does not", () => {
  assert.equal(statusReportShape.faultIn(gatewayReport()), null);
  const more = { ...gatewayReport(), backends: [{ ...sampleBackend(), fleet: 1 }] };
  assert.equal(statusReportShape.faultIn(more), null);
  for (const wrong of [{ phase: "ready" }, { tools: "1" }, { type: "sse" }, { retry_at: 5 }]) {
    const report = { ...gatewayReport(), backends: [{ ...sampleBackend(), ...wrong }] };
    assert.notEqual(statusReportShape.faultIn(report), null, JSON.stringify(wrong));
  }
});

test("F2 pin: the fields of a catalog, and what they may not be", () => {
  assert.deepEqual(Object.keys(catalogReportShape.fields), [
    "tools",
    "resources",
    "resource_templates",
    "prompts",
    "withheld",
    "left_out",
  ]);
  const catalog = sampleCatalog();
  assert.equal(catalogReportShape.faultIn(catalog), null);
  const [tool] = catalog.tools;
  for (const wrong of [{ input_schema: [] }, { description: null }, { backend: 1 }, { cut: "yes" }]) {
    assert.notEqual(catalogReportShape.faultIn({ ...catalog, tools: [{ ...tool, ...wrong }] }), null);
  }
});
