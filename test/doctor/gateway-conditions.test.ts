import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition } from "../../src/api/contract.ts";
import { findingsOf } from "../../src/doctor/context.ts";
import { conditionFindings } from "../../src/doctor/gateway-conditions.ts";
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
