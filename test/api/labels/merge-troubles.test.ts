// 23 servers, eight of which fail for two causes: every user interface shows two troubles.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BackendStatus, Condition } from "../../../src/api/contract/contract.ts";
import { wholeText } from "../../../src/api/labels/label.ts";
import { mergeTroubles } from "../../../src/api/labels/merge-troubles.ts";
import { renderStatus } from "../../../src/api/views/status-view.ts";
import { menuOf } from "../../../src/menubar/menu/model.ts";
import { dashboardRows } from "../../../src/tui/dashboard/dashboard-rows.ts";
import { findTroubles } from "../../../src/web/page/home/troubles.ts";
import { sampleWorld } from "../../menubar/worlds.ts";
import { gatewayReport, sampleBackend } from "../sample-gateway.ts";
import { SAMPLE_NOW, sampleShare, secondsAgo } from "../sample-report.ts";

const UNRESOLVED = {
  text: "cannot be reached: its name cannot be resolved",
  hint: "is this machine online?",
};
const MISSING = { text: "cannot start npx: it is not installed", hint: "install it" };

function failed(name: string, cause: NonNullable<Condition["cause"]>, title: string): BackendStatus {
  const condition = {
    code: "not_running",
    severity: "error" as const,
    title,
    hint: "x",
    since: secondsAgo(60),
  };
  const conditions = [{ ...condition, cause }];
  return sampleBackend({ name, phase: "Failed", reason: title, last_error: title, conditions });
}

const backends = [
  ...Array.from({ length: 15 }, (_, at) => sampleBackend({ name: `well${at}` })),
  ...["a", "b", "c", "d", "e"].map((name) =>
    failed(name, UNRESOLVED, `server ${name}: cannot reach https://${name}.example: no such name`),
  ),
  ...["f", "g", "h"].map((name) => failed(name, MISSING, `server ${name}: ${MISSING.text}`)),
];
const status = gatewayReport(backends);
const EXPECTED = [`a, b, c, d, e: ${UNRESOLVED.text}`, `f, g, h: ${MISSING.text}`];

test("F4 servers that fail for one cause are one trouble in status, dashboard, page and menu", () => {
  const { conditions } = mergeTroubles(status).status.gateway ?? { conditions: [] };
  assert.deepEqual(
    conditions.map(({ severity, title, hint }) => [severity, title, hint]),
    EXPECTED.map((title, at) => ["error", title, [UNRESOLVED, MISSING][at]?.hint]),
  );
  const text = renderStatus(status, { width: 110, color: false, unicode: true, now: SAMPLE_NOW });
  for (const one of EXPECTED) assert.equal(text.split(one).length, 2, text);
  assert.doesNotMatch(text, /last error|cannot reach/);
  const rows = dashboardRows({ status, approvals: null });
  assert.deepEqual(
    rows.flatMap((row) => (row.kind === "condition" ? [row.condition.title] : [])),
    EXPECTED,
  );
  assert.deepEqual(findTroubles(status, null).map(wholeText), EXPECTED);
  const lines = menuOf(sampleWorld(status)).items.flatMap((item) =>
    item.kind === "text" && item.tone === "bad" ? [item.label] : [],
  );
  assert.deepEqual(lines, EXPECTED);
});

// As https://github.com/portainer/portainer/issues/13081 (200 ports in one row).
test("F4 a cause of two hundred servers names the first eight", () => {
  const many = Array.from({ length: 200 }, (_, at) => failed(`s${at}`, MISSING, MISSING.text));
  assert.deepEqual(findTroubles(gatewayReport(many), null).map(wholeText), [
    `s0, s1, s2, s3, s4, s5, s6, s7 and 192 more: ${MISSING.text}`,
  ]);
});

test("F4 a cause that one server has stays its own trouble", () => {
  const one = gatewayReport(backends.slice(0, 16));
  assert.deepEqual(mergeTroubles(one), { status: one, covered: new Set(), groups: [] });
});

test("F4 servers that wait for a share are shown with the share's trouble", () => {
  const cause = { text: "share CORE is away: it is not mounted", hint: "see the share" };
  const waiting = ["x", "y"].map((name) => {
    const backend = failed(name, cause, `server ${name} cannot work: ${cause.text}`);
    return { ...backend, conditions: backend.conditions.map((one) => ({ ...one, share: "CORE" })) };
  });
  const away = { mount_state: "unmounted", mount_alive: false, last_error: "neither host answers" } as const;
  const report = { ...gatewayReport(waiting), shares: [sampleShare({ name: "CORE", ...away })] };
  assert.deepEqual(findTroubles(report, null).map(wholeText), [
    "CORE: not mounted: neither host answers; x, y wait for it",
  ]);
  const text = renderStatus(report, { width: 110, color: false, unicode: true, now: SAMPLE_NOW });
  assert.match(text, /x, y wait for it/);
  assert.doesNotMatch(text, /is away/);
  const well = { ...report, shares: [sampleShare({ name: "CORE" })] };
  assert.deepEqual(findTroubles(well, null).map(wholeText), [`x, y: ${cause.text}`]);
});
