import assert from "node:assert/strict";
import { test } from "node:test";
import type { GlobalStatus, ShareStatus } from "../../../../src/api/contract/contract.ts";
import { wholeText } from "../../../../src/api/labels/label.ts";
import { findTroubles } from "../../../../src/web/page/home/troubles.ts";
import { sampleApprovals } from "../../../api/sample-config.ts";
import { gatewayReport, sampleBackend } from "../../../api/sample-gateway.ts";
import { SAMPLE_MOVES, sampleReport, sampleShare } from "../../../api/sample-report.ts";

const fallback = { active_interface: "fallback", tb_reachable: false, tb_reachable_since: null } as const;

const moving = { ...fallback, moves: SAMPLE_MOVES };

/** `ABOUT: TEXT / HINT [BUTTON]` of each. */
function told(
  shares: readonly Partial<ShareStatus>[],
  global: Partial<GlobalStatus> = {},
): readonly string[] {
  const status = sampleReport(shares.map(sampleShare), global);
  return findTroubles(status, null).map(
    (trouble) => `${wholeText(trouble)} / ${trouble.hint} [${trouble.action?.label ?? ""}]`,
  );
}

test("F4 a cable's loss is reported once for all shares of a NAS, with the consequences", () => {
  assert.deepEqual(told([{ name: "CORE", ...moving }, { name: "MEDIA", ...moving }, { name: "OTHER" }]), [
    "CORE, MEDIA: mounted over Fallback, Thunderbolt does not answer / Work continues. It returns once Thunderbolt has answered for 30 s. []",
  ]);
  assert.deepEqual(told([{ ...fallback, tb_reachable: true }]), [
    "CORE: mounted over Fallback, Thunderbolt answers again / Work continues. It returns once Thunderbolt has answered for 30 s and no file is open. []",
  ]);
  assert.deepEqual(told([moving], { auto_failback: false, lsof_recheck: false }), [
    "CORE: mounted over Fallback, Thunderbolt does not answer / Work continues. It returns to Thunderbolt when you switch it. []",
  ]);
});

test("F4 a share over its second cable with a further problem is listed by that problem, and with its button", () => {
  assert.deepEqual(
    told([
      { ...fallback, last_error: "no login" },
      { ...fallback, name: "MEDIA" },
    ]),
    [
      "CORE: mounted over Fallback: no login / null [Check now]",
      "MEDIA: mounted over Fallback, Thunderbolt does not answer / Work continues. It returns once Thunderbolt has answered for 30 s and no file is open. []",
    ],
  );
  assert.deepEqual(told([{ ...fallback, override: "fallback" }]), []);
  const waiting = { ...fallback, moves: { ...SAMPLE_MOVES, phase: "waiting" as const } };
  assert.match(told([waiting]).join(), /^CORE: mounted, programs wait for a route \/ null \[Check now\]$/);
});

test("F4 a TB Ready share explains the term, and has the button", () => {
  const ready = { ...fallback, tb_reachable: true, tb_recovery_pending: true };
  assert.deepEqual(told([ready], { lsof_recheck: false }), [
    "CORE: mounted over Fallback, TB Ready / TB Ready: Thunderbolt is back. It waits for you to switch it. [Switch to Thunderbolt]",
  ]);
});

test("F4 a server's problem has its name once", () => {
  const reason = "server tickets: cannot reach it";
  const condition = { code: "x", severity: "error" as const, title: reason, hint: null, since: "" };
  const backend = sampleBackend({ name: "tickets", phase: "Failed", conditions: [condition] });
  const [trouble] = findTroubles(gatewayReport([backend]), null);
  assert.ok(trouble !== undefined);
  assert.equal(wholeText(trouble), "tickets: Failed: cannot reach it");
  const waits = { ...condition, code: "waiting_for_approval", severity: "warning" as const };
  const off = sampleBackend({ name: "new", enabled: false, phase: "Failed", conditions: [waits] });
  const told = findTroubles(gatewayReport([off]), sampleApprovals());
  assert.deepEqual(told.map(wholeText), ["1 change waits for your approval"], "told once");
  assert.deepEqual(findTroubles(gatewayReport([sampleBackend({ enabled: false })]), null), []);
});
