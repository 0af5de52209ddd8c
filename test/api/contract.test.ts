import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import {
  conditionShape,
  configMistakeWireShape,
  configReportShape,
  editReportShape,
  globalStatusShape,
  historyEntryShape,
  MANAGE_PREFIX,
  reloadReportShape,
  shareStatusShape,
  statusReportShape,
  stepReportShape,
  stepResultShape,
  syncEventShape,
  syncReportShape,
  syncSettingsWireShape,
  verifyFindingShape,
} from "../../src/api/contract.ts";
import { OPERATIONS } from "../../src/api/operations.ts";
import { sampleReport, sampleResult, sampleShare, secondsAgo } from "./sample-report.ts";

test("pin: the operations, their methods and their prefix", () => {
  assert.equal(MANAGE_PREFIX, "/manage/v1");
  assert.deepEqual(
    Object.values(OPERATIONS).map(({ method, path }) => `${method} ${path}`),
    [
      "GET status",
      "POST verify",
      "POST reconcile",
      "POST mount",
      "POST unmount",
      "POST switch",
      "POST restart",
      "GET aliases",
      "POST aliases/reconcile",
      "POST folders",
      "GET tools",
      "GET catalog",
      "POST call",
      "POST tools/changes",
      "POST tools/approve",
      "POST backends/restart",
      "POST backends/switch",
      "POST backends/logs",
      "POST audit",
      "GET timeline",
      "GET fleet",
      "GET fleet/config",
      "GET fleet/config/history",
      "GET fleet/config/history/",
      "PUT fleet/config/text",
      "POST fleet/check",
      "POST log",
      "GET sync",
      "POST reload",
      "GET config",
      "POST config/edit",
      "PUT config/text",
      "POST config/check",
      "GET config/approvals",
      "POST config/approve",
      "GET config/history",
      "GET config/history/",
      "POST config/rollback",
      "POST access/link",
      "POST access/token",
      "POST access/token/forget",
    ],
  );
});

test("pin: the fields of a status, in the order in which they are printed", () => {
  const shape = Object.keys(statusReportShape.fields);
  assert.deepEqual(shape, ["global", "shares", "aliases", "gateway", "backends"]);
  assert.deepEqual(Object.keys(globalStatusShape.fields), [
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
  assert.deepEqual(Object.keys(shareStatusShape.fields), [
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
  assert.deepEqual(Object.keys(conditionShape.fields), [
    "code",
    "severity",
    "title",
    "hint",
    "since",
    "holders",
  ]);
});

test("pin: the fields of a step's result and of a finding", () => {
  assert.deepEqual(Object.keys(stepResultShape.fields), [
    "share",
    "result",
    "active_interface",
    "detail",
    "hint",
    "holders",
    "unsent",
  ]);
  assert.deepEqual(Object.keys(verifyFindingShape.fields), ["share", "severity", "code", "text", "hint"]);
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
  assert.equal(statusReportShape.faultIn(report), null);
  assert.equal(statusReportShape.faultIn({ ...report, fleet: [] }), null);
  assert.equal(stepReportShape.faultIn({ results: [sampleResult()] }), null);
});

test("a report with a missing field, a wrong type or an unknown word does not pass", () => {
  const { held: _, ...withoutHeld } = sampleShare();
  for (const share of [
    withoutHeld,
    { ...sampleShare(), mount_alive: "yes" },
    { ...sampleShare(), held: "tb" },
  ]) {
    assert.notEqual(statusReportShape.faultIn({ ...sampleReport([]), shares: [share] }), null);
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

test("pin: the fields of what is told about the configuration", () => {
  const settings = ["enabled", "poll_interval", "debounce", "detection", "on_failure"];
  assert.deepEqual(Object.keys(syncSettingsWireShape.fields), settings);
  assert.deepEqual(Object.keys(syncReportShape.fields), [
    "config_path",
    "sha256",
    "generation",
    "watching",
    "last_sync",
    "last_error",
    "degraded",
    "file_missing",
    "waiting",
    "settings",
    "events",
  ]);
  assert.deepEqual(Object.keys(syncEventShape.fields), [
    "id",
    "time",
    "iso",
    "generation",
    "type",
    "details",
  ]);
  assert.deepEqual(Object.keys(reloadReportShape.fields), [
    "reloaded",
    "dry_run",
    "generation",
    "sha256",
    "settings",
    "shares",
    "backends",
    "middleware",
    "waiting",
    "errors",
    "failure",
    "summary",
  ]);
  assert.deepEqual(Object.keys(configMistakeWireShape.fields), [
    "file",
    "line",
    "column",
    "path",
    "found",
    "expected",
    "hint",
  ]);
  assert.deepEqual(Object.keys(configReportShape.fields), [
    "path",
    "format",
    "sha256",
    "text",
    "running_sha256",
  ]);
  assert.deepEqual(Object.keys(editReportShape.fields), ["changed", "path", "sha256", "errors", "reload"]);
  assert.deepEqual(Object.keys(historyEntryShape.fields), ["n", "time", "sha256", "source", "summary"]);
});
