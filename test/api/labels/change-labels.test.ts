import assert from "node:assert/strict";
import { test } from "node:test";
import type { GatewayStatus } from "../../../src/api/contract/contract.ts";
import { changesBetween, statementsOf } from "../../../src/api/labels/change-labels.ts";
import { gatewayReport, sampleBackend } from "../sample-gateway.ts";
import { sampleReport, sampleShare } from "../sample-report.ts";

test("F2 a change is reported once, changing figures are not, and an end is", () => {
  const before = statementsOf(gatewayReport([sampleBackend({ in_flight: 1 })]));
  assert.deepEqual(
    changesBetween(before, statementsOf(gatewayReport([sampleBackend({ in_flight: 9 })]))),
    [],
  );
  const failed = statementsOf(gatewayReport([sampleBackend({ phase: "Failed", reason: "exit 1" })]));
  assert.deepEqual(changesBetween(before, failed), [
    "server files: Failed, exit 1; mountaineer backends logs files shows what it wrote",
  ]);
  const waits = (longest_ms: number) =>
    statementsOf(gatewayReport([sampleBackend({ waiting_calls: { count: 1, longest_ms } })]));
  const waited =
    "note: files: a call has waited for its answer for over 10 s; mountaineer backends logs files shows what it wrote";
  assert.deepEqual(changesBetween(before, waits(12_000)), [waited]);
  assert.deepEqual(changesBetween(waits(12_000), waits(45_000)), []);
  assert.deepEqual(changesBetween(waits(45_000), before), [`over: ${waited}`]);
  const gone = statementsOf(sampleReport([]));
  assert.ok(changesBetween(before, gone).includes("over: server files: Ready, 14 tools, 3 resources"));
});

test("F2 a sentence about a share names the command for it, safe to paste", () => {
  const said = (changes: Parameters<typeof sampleShare>[0]) =>
    statementsOf(sampleReport([sampleShare({ name: "my share", ...changes })])).get("share my share")?.[0];
  assert.equal(said({}), "share my share: mounted over Thunderbolt");
  assert.equal(
    said({ active_interface: "fallback", tb_recovery_pending: true }),
    "share my share: mounted over Fallback, TB Ready; mountaineer switch --share 'my share' --to tb switches it to Thunderbolt",
  );
  assert.match(said({ override: "fallback" }) ?? "", /--to auto goes back to automatic$/);
  assert.match(
    said({ override: "unmounted" }) ?? "",
    /mountaineer mount --share 'my share' mounts it again$/,
  );
  assert.match(
    said({ last_error: "no host answers" }) ?? "",
    /; last error: no host answers; mountaineer verify --share 'my share' says more$/,
  );
});

test("F2 several conditions of one code are reported, and so is each one's end", () => {
  const withNotes = (...titles: readonly string[]) => {
    const conditions = titles.map((title) => ({
      ...{ code: "names_prefixed", severity: "info" as const, title },
      ...{ hint: null, since: "2026-01-01T00:00:00.000Z" },
    }));
    const report = gatewayReport([]);
    return statementsOf({ ...report, gateway: { ...(report.gateway as GatewayStatus), conditions } });
  };
  const [none, two] = [withNotes(), withNotes("a offers names", "b offers names")];
  assert.deepEqual(changesBetween(none, two), [
    "info: gateway: a offers names",
    "info: gateway: b offers names",
  ]);
  assert.deepEqual(changesBetween(two, withNotes("b offers names")), ["over: info: gateway: a offers names"]);
  assert.deepEqual(changesBetween(two, withNotes("a offers names", "b offers more names")), [
    "info: gateway: b offers more names",
  ]);
});
