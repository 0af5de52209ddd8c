import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import {
  configMistakeSchema,
  configReportSchema,
  editReportSchema,
  editRequestSchema,
  editTextRequestSchema,
  historyEntrySchema,
  reloadReportSchema,
  reloadRequestSchema,
  rollbackRequestSchema,
  syncEventSchema,
  syncReportSchema,
} from "../../src/api/client/config-contract-schemas.ts";
import {
  shareRequestSchema,
  statusReportSchema,
  stepReportSchema,
  switchRequestSchema,
  unmountRequestSchema,
  verifyReportSchema,
} from "../../src/api/client/contract-schemas.ts";
import { MANAGE_PREFIX, OPERATIONS } from "../../src/api/contract.ts";
import {
  readEditRequest,
  readEditTextRequest,
  readReloadRequest,
  readRollbackRequest,
} from "../../src/api/requests/config-request-body.ts";
import { type RequestFields, readRequestBody } from "../../src/api/requests/request-body.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { fc } from "../support/properties.ts";
import { sampleReport, sampleResult, sampleShare, secondsAgo } from "./sample-report.ts";

test("pin: the operations, their methods and their prefix", () => {
  assert.equal(MANAGE_PREFIX, "/manage/v1");
  assert.deepEqual(OPERATIONS, {
    status: "GET",
    verify: "POST",
    reconcile: "POST",
    mount: "POST",
    unmount: "POST",
    switch: "POST",
  });
});

test("pin: the fields of a status, in the order in which they are printed", () => {
  const shape = Object.keys(statusReportSchema.shape);
  assert.deepEqual(shape, ["global", "shares", "aliases", "gateway", "backends"]);
  assert.deepEqual(Object.keys(statusReportSchema.shape.global.shape), [
    "version",
    "pid",
    "started_at",
    "config_path",
    "home",
    "check_interval_secs",
    "auto_failback",
    "auto_failback_stable_secs",
    "lsof_recheck",
    "network_events",
    "conditions",
  ]);
  const share = statusReportSchema.shape.shares.def.element;
  assert.deepEqual(Object.keys(share.shape), [
    "name",
    "active_interface",
    "mount_state",
    "mount_path",
    "stable_path",
    "tb_host",
    "fb_host",
    "tb_reachable",
    "fb_reachable",
    "mount_alive",
    "tb_recovery_pending",
    "held",
    "last_error",
    "last_switch_at",
    "tb_reachable_since",
    "tb_healthy_since",
    "carried",
    "conditions",
  ]);
  assert.deepEqual(Object.keys(share.shape.conditions.def.element.shape), [
    "code",
    "severity",
    "title",
    "hint",
    "since",
    "holders",
  ]);
});

test("pin: the fields of a step's result and of a finding", () => {
  assert.deepEqual(Object.keys(stepReportSchema.shape.results.def.element.shape), [
    "share",
    "result",
    "active_interface",
    "detail",
    "hint",
    "holders",
    "unsent",
  ]);
  const finding = verifyReportSchema.shape.findings.def.element;
  assert.deepEqual(Object.keys(finding.shape), ["share", "severity", "code", "text", "hint"]);
});

test("a report that the contract allows passes, also with fields that a newer daemon adds", () => {
  const condition = {
    code: "route_slow",
    severity: "warning",
    title: "slow",
    hint: null,
    since: secondsAgo(1),
  } as const;
  const report = sampleReport([sampleShare({ conditions: [condition, { ...condition, holders: [] }] })]);
  assert.equal(statusReportSchema.safeParse(report).success, true);
  assert.equal(statusReportSchema.safeParse({ ...report, fleet: [] }).success, true);
  assert.equal(stepReportSchema.safeParse({ results: [sampleResult()] }).success, true);
});

test("a report with a missing field, a wrong type or an unknown word does not pass", () => {
  const { held: _, ...withoutHeld } = sampleShare();
  for (const share of [
    withoutHeld,
    { ...sampleShare(), mount_alive: "yes" },
    { ...sampleShare(), held: "tb" },
  ]) {
    assert.equal(statusReportSchema.safeParse({ ...sampleReport([]), shares: [share] }).success, false);
  }
});

test("the server's reading of bodies agrees with the schemas on anything", () => {
  const value = fc.oneof(
    fc.constantFrom(null, true, false, "tb", "fallback", "auto", "CORE", 1, {}),
    fc.array(fc.oneof(fc.string(), fc.integer()), { maxLength: 3 }),
  );
  const body = fc.oneof(
    fc.dictionary(fc.constantFrom("shares", "to", "force", "wait", "other", "__proto__"), value),
    fc.record({ shares: fc.array(fc.string()), to: fc.constantFrom("tb", "auto"), force: fc.boolean() }),
    value,
  );
  const kinds = [
    { allowed: ["shares"], schema: shareRequestSchema },
    { allowed: ["shares", "force"], schema: unmountRequestSchema },
    { allowed: ["shares", "to", "force", "wait"], schema: switchRequestSchema },
  ] as const;
  fc.assert(
    fc.property(fc.constantFrom(...kinds), body, ({ allowed, schema }, asked) => {
      const text = JSON.stringify(asked);
      const parsed = schema.safeParse(JSON.parse(text));
      let read: RequestFields | null = null;
      try {
        read = readRequestBody(text, allowed);
      } catch (error) {
        assert.ok(error instanceof MountaineerError && error.code === "protocol");
      }
      // Only that `to` is there at all is left to the caller.
      const lacksTo = schema === switchRequestSchema && read !== null && read.to === null;
      assert.equal(read !== null && !lacksTo, parsed.success, text);
      if (read === null || !parsed.success) return;
      assert.deepEqual(read.shares, parsed.data.shares ?? null);
    }),
    { numRuns: 500 },
  );
});

test("a body may be empty, and nothing else that is not a JSON object", () => {
  assert.deepEqual(readRequestBody(" \n", ["shares"]), { shares: null, to: null, force: false, wait: false });
  for (const text of ["[]", "null", "7", '"x"', "{", '{"shares":["A"]']) {
    assert.throws(() => readRequestBody(text, ["shares"]), { code: "protocol" });
  }
});

test("the server's code loads neither zod nor Node's fetch and WebSocket, for the daemon's memory's sake", () => {
  const probe = `
    import { registerHooks } from "node:module";
    const resolved = [];
    registerHooks({ resolve(specifier, context, next) { resolved.push(specifier); return next(specifier, context); } });
    const before = new Set(process.moduleLoadList);
    await import(${JSON.stringify(new URL("../../src/api/server/server.ts", import.meta.url).href)});
    process.getBuiltinModule("node:http").createServer();
    const loaded = process.moduleLoadList.filter((name) => !before.has(name));
    console.log(resolved.length > 5, resolved.filter((name) => /zod|node:http/.test(name)));
    console.log(loaded.filter((name) => /undici/.test(name)));`;
  const run = spawnSync(process.execPath, ["--input-type=module", "-e", probe], { encoding: "utf8" });
  assert.equal(run.stdout, "true []\n[]\n", run.stderr);
});

test("the server's reading of bodies about the configuration agrees with the schemas on anything", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\ud800", "cli", "Cli", "ab".repeat(32)),
  );
  const value = fc.oneof(text, fc.constantFrom(null, true, 0, 1, -1, 1.5, [], {}), fc.integer());
  const edit = fc.oneof(
    fc.record({ key: text, value: fc.option(text) }),
    fc.dictionary(fc.constantFrom("key", "value", "more"), value),
    fc.record({
      add: fc.constantFrom("shares", "aliases", "backends"),
      entry: fc.oneof(
        fc.dictionary(fc.constantFrom("name", "share", "a b", ""), fc.oneof(text, value)),
        value,
      ),
    }),
    fc.record({ remove: fc.constantFrom("shares", "aliases", "backends"), name: fc.oneof(text, value) }),
  );
  const fields = fc.constantFrom("dry_run", "edits", "expected_sha256", "source", "text", "n", "other");
  const body = fc.oneof(
    fc.dictionary(fields, fc.oneof(value, fc.array(edit, { maxLength: 3 }))),
    fc.record({ edits: fc.array(edit, { maxLength: 3 }), source: fc.constantFrom("cli", "a b", "") }),
    fc.record({
      text,
      expected_sha256: fc.constantFrom("ab".repeat(32), "AB".repeat(32)),
      source: fc.constant("tui"),
    }),
    value,
  );
  const kinds = [
    { read: readReloadRequest, schema: reloadRequestSchema },
    { read: readEditRequest, schema: editRequestSchema },
    { read: readEditTextRequest, schema: editTextRequestSchema },
    { read: readRollbackRequest, schema: rollbackRequestSchema },
  ] as const;
  fc.assert(
    fc.property(fc.constantFrom(...kinds), body, ({ read, schema }, asked) => {
      const json = JSON.stringify(asked);
      const parsed = schema.safeParse(JSON.parse(json));
      let request: unknown = null;
      try {
        request = read(json);
      } catch (error) {
        assert.ok(error instanceof MountaineerError && error.code === "protocol");
      }
      assert.equal(request !== null, parsed.success, json);
      if (parsed.success) assert.deepEqual(request, parsed.data);
    }),
    { numRuns: 1_000 },
  );
});

test("pin: the fields of what is told about the configuration", () => {
  const settings = ["enabled", "poll_interval", "debounce", "detection", "on_failure"];
  assert.deepEqual(Object.keys(syncReportSchema.shape.settings.shape), settings);
  assert.deepEqual(Object.keys(syncReportSchema.shape), [
    "config_path",
    "sha256",
    "generation",
    "watching",
    "last_sync",
    "last_error",
    "degraded",
    "file_missing",
    "settings",
    "events",
  ]);
  assert.deepEqual(Object.keys(syncEventSchema.shape), [
    "id",
    "time",
    "iso",
    "generation",
    "type",
    "details",
  ]);
  assert.deepEqual(Object.keys(reloadReportSchema.shape), [
    "reloaded",
    "dry_run",
    "generation",
    "sha256",
    "settings",
    "shares",
    "backends",
    "middleware",
    "errors",
    "failure",
    "summary",
  ]);
  assert.deepEqual(Object.keys(configMistakeSchema.shape), [
    "file",
    "line",
    "column",
    "path",
    "found",
    "expected",
    "hint",
  ]);
  assert.deepEqual(Object.keys(configReportSchema.shape), [
    "path",
    "format",
    "sha256",
    "text",
    "running_sha256",
  ]);
  assert.deepEqual(Object.keys(editReportSchema.shape), ["changed", "path", "sha256", "errors", "reload"]);
  assert.deepEqual(Object.keys(historyEntrySchema.shape), ["n", "time", "sha256", "source", "summary"]);
});
