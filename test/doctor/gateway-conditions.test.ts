import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition } from "../../src/api/contract.ts";
import { gatewayFindings } from "../../src/daemon/control/verify.ts";
import { findingsOf } from "../../src/doctor/context.ts";
import { conditionFindings } from "../../src/doctor/gateway.ts";
import { gatewayReport, sampleBackend } from "../api/sample-gateway.ts";

const condition = (code: string, severity: Condition["severity"] = "warning"): Condition => ({
  code,
  severity,
  title: `title of ${code}`,
  hint: "do this",
  since: "2026-11-21T10:00:00Z",
});

test("D3 doctor repeats what the gateway says of itself and of its backends, and nothing twice", () => {
  const report = gatewayReport(
    [
      sampleBackend({ name: "files", conditions: [condition("entries_withheld")] }),
      sampleBackend({ name: "web", conditions: [condition("secret_missing", "error")] }),
      sampleBackend({ name: "mail", conditions: [condition("secret_missing", "error")] }),
    ],
    { gateway: { conditions: [condition("catalog_hidden", "info"), condition("tools_changed")] } },
  );
  const known = findingsOf("gateway")("error", "secret_missing", "the same", { subject: "web" });
  assert.deepEqual(
    conditionFindings(report, [known]).map(({ severity, code, subject }) => [severity, code, subject]),
    [
      ["info", "catalog_hidden", null],
      ["warning", "tools_changed", null],
      ["warning", "entries_withheld", "files"],
      ["error", "secret_missing", "mail"],
    ],
  );
  assert.deepEqual(conditionFindings({}, []), []);
});

test("D3 what verify finds of a backend, doctor says in the same words, so that it stands there once", () => {
  const named = { ...condition("not_running", "error"), title: "backend files: it ended" };
  const conditions = [named, condition("lists_stale")];
  const report = gatewayReport([sampleBackend({ name: "files", phase: "Ready", conditions })]);
  const words = (findings: readonly { readonly code: string; readonly text: string }[]): string[] =>
    findings.map(({ code, text }) => `${code} ${text}`);
  assert.deepEqual(words(gatewayFindings(report)), words(conditionFindings(report, [])));
  assert.deepEqual(words(gatewayFindings(report)), [
    "not_running backend files: it ended",
    "lists_stale files: title of lists_stale",
  ]);
});
