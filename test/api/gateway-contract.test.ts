import assert from "node:assert/strict";
import { test } from "node:test";
import {
  backendLogsReportSchema,
  backendLogsRequestSchema,
  backendStatusSchema,
  backendsRequestSchema,
  callReportSchema,
  callRequestSchema,
  daemonNoteSchema,
  gatewayStatusSchema,
  restartReportSchema,
  statusReportSchema,
  toolEntrySchema,
  toolsReportSchema,
} from "../../src/api/client/contract-schemas.ts";
import {
  readBackendLogsRequest,
  readBackendsRequest,
  readCallRequest,
} from "../../src/api/requests/gateway-request-body.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { fc } from "../support/properties.ts";
import { gatewayReport, sampleBackend } from "./sample-gateway.ts";

test("pin: the fields of what is told about the gateway, in the order in which they are printed", () => {
  const fields = (schema: { shape: object }): string[] => Object.keys(schema.shape);
  assert.deepEqual(fields(gatewayStatusSchema), [
    "url",
    "sessions",
    "in_flight",
    "tools",
    "resources",
    "resource_templates",
    "prompts",
    "conditions",
  ]);
  assert.deepEqual(fields(backendStatusSchema), [
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
    "draining",
    "restarts",
    "retry_at",
    "last_error",
    "tools",
    "resources",
    "prompts",
    "withheld_tools",
    "conditions",
  ]);
  assert.deepEqual(fields(toolsReportSchema), ["tools"]);
  assert.deepEqual(fields(toolEntrySchema), [
    "name",
    "backend",
    "original_name",
    "description",
    "input_schema",
  ]);
  assert.deepEqual(fields(callReportSchema), ["result", "error"]);
  assert.deepEqual(fields(restartReportSchema), ["restarted"]);
  assert.deepEqual(fields(backendLogsReportSchema), ["lines"]);
  assert.deepEqual(fields(daemonNoteSchema), ["pid", "socket", "mcp_socket", "version", "started_at"]);
});

test("a gateway's report passes, also with what a newer daemon adds; a phase that is none does not", () => {
  assert.equal(statusReportSchema.safeParse(gatewayReport()).success, true);
  const more = { ...gatewayReport(), backends: [{ ...sampleBackend(), fleet: 1 }] };
  assert.equal(statusReportSchema.safeParse(more).success, true);
  for (const wrong of [{ phase: "ready" }, { tools: "1" }, { type: "sse" }, { retry_at: 5 }]) {
    const report = { ...gatewayReport(), backends: [{ ...sampleBackend(), ...wrong }] };
    assert.equal(statusReportSchema.safeParse(report).success, false, JSON.stringify(wrong));
  }
});

test("the server's reading of bodies about the gateway agrees with the schemas on anything", () => {
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("\ud800", "files"));
  const value = fc.oneof(
    text,
    fc.constantFrom(null, true, 1),
    fc.array(text, { maxLength: 3 }),
    fc.jsonValue(),
  );
  const field = fc.constantFrom("tool", "arguments", "backends", "backend", "other");
  const body = fc.oneof(
    fc.dictionary(field, value),
    fc.record({ tool: text, arguments: fc.dictionary(fc.string(), fc.jsonValue()) }),
    fc.record({ backends: fc.option(fc.array(text)) }),
    fc.record({ backend: text }),
    value,
  );
  const kinds = [
    { read: readCallRequest, schema: callRequestSchema },
    { read: readBackendsRequest, schema: backendsRequestSchema },
    { read: readBackendLogsRequest, schema: backendLogsRequestSchema },
  ] as const;
  fc.assert(
    fc.property(fc.constantFrom(...kinds), body, ({ read, schema }, asked) => {
      const json = JSON.stringify(asked);
      let request: unknown = null;
      try {
        request = read(json);
      } catch (error) {
        assert.ok(error instanceof MountaineerError && error.code === "protocol");
      }
      assert.equal(request !== null, schema.safeParse(JSON.parse(json)).success, json);
      if (request !== null) assert.deepEqual(request, JSON.parse(json));
    }),
    { numRuns: 1_000 },
  );
});

test("a call's arguments come as they are, whatever their keys", () => {
  const body = '{"tool":"t","arguments":{"__proto__":{"x":1},"constructor":null,"":[]}}';
  assert.equal(JSON.stringify(readCallRequest(body)), body);
  assert.deepEqual(readBackendsRequest(" "), {});
});
