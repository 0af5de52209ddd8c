import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition, ShareStatus } from "../../../src/api/contract/contract.ts";
import { backendImpact, type Impact, phaseImpact, shareImpact } from "../../../src/api/labels/impact.ts";
import { sampleBackend } from "../sample-gateway.ts";
import { SAMPLE_MOVES, sampleShare } from "../sample-report.ts";

const sampleCondition = (changes: Partial<Condition>): Condition => ({
  ...{ code: "x", severity: "warning", title: "x", hint: null, since: "2026-01-02T11:00:00.000Z" },
  ...changes,
});
const none = {
  mount_state: "unmounted",
  active_interface: "none",
  mount_alive: false,
  last_error: null,
} as const;
const on = { mount_state: "mounted", mount_alive: true, tb_reachable: true, fb_reachable: false } as const;
const moves = SAMPLE_MOVES;

const SHARES: readonly (readonly [string, Partial<ShareStatus>, Impact])[] = [
  [
    "over its only host",
    { ...on, tb_host: null, fb_host: "nas", active_interface: "fallback", fb_reachable: true },
    "fine",
  ],
  ["over Fallback", { ...on, active_interface: "fallback", fb_reachable: true }, "fine"],
  ["not looked at yet", none, "unused"],
  ["unmounted by hand", { ...none, override: "unmounted", last_error: "no answer" }, "unused"],
  [
    "off network",
    { ...none, last_error: "no answer", conditions: [sampleCondition({ code: "off_network" })] },
    "unused",
  ],
  [
    "a refused login",
    { ...none, conditions: [sampleCondition({ code: "login_refused", severity: "error" })] },
    "failed",
  ],
  ["a missing share", { ...none, last_error: "the server has no share CORE" }, "failed"],
  ["an error", { ...none, mount_state: "error" }, "failed"],
  ["a dead mount", { ...on, mount_alive: false }, "failed"],
  ["no route, does not move", { ...on, tb_reachable: false, mount_alive: false }, "failed"],
  ["moves, waiting", { ...on, moves: { ...moves, phase: "waiting" } }, "waited"],
  ["moves, patience over", { ...on, moves: { ...moves, phase: "over" } }, "failed"],
  ["moves", { ...on, moves }, "fine"],
];

test("F4 a share's state is its impact on programs", () => {
  for (const [title, share, felt] of SHARES) assert.equal(shareImpact(sampleShare(share)), felt, title);
});

test("F4 a server's state is its impact on callers", () => {
  assert.equal(backendImpact(sampleBackend({ phase: "Ready" })), "fine");
  assert.equal(backendImpact(sampleBackend({ enabled: false, conditions: [] })), "unused");
  assert.equal(
    backendImpact(sampleBackend({ phase: "Ready", conditions: [sampleCondition({ code: "share_away" })] })),
    "failed",
  );
  const phases = ["Pending", "Initializing", "Ready", "Asleep", "Degraded", "Failed", "ShuttingDown"].map(
    phaseImpact,
  );
  assert.deepEqual(phases, ["waited", "waited", "fine", "unused", "fine", "failed", "unused"]);
});
