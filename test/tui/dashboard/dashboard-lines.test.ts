import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { StatusReport } from "../../../src/api/contract/contract.ts";
import { columns } from "../../../src/runtime/text/plain-text.ts";
import { dashboardLines } from "../../../src/tui/dashboard/dashboard-lines.ts";
import {
  chosenRow,
  type DashboardRow,
  dashboardRows,
  isChoice,
} from "../../../src/tui/dashboard/dashboard-rows.ts";
import { EMPTY_LIST, pressListKey } from "../../../src/tui/terminal/list-state.ts";
import { sampleApprovals } from "../../api/sample-config.ts";
import { gatewayReport, sampleBackend, sampleClient } from "../../api/sample-gateway.ts";
import { SAMPLE_NOW, sampleReport, sampleShare, secondsAgo } from "../../api/sample-report.ts";
import { assertEach } from "../../support/assert-each.ts";
import { textOf, viewOf } from "../views.ts";

function condition(title: string) {
  return { code: "x", severity: "warning" as const, title, hint: "do this", since: secondsAgo(9) };
}

const HOLDERS = [1, 2, 3, 4, 5].map((pid) => ({ pid, command: "Finder", path: `/v/${pid}.psd` }));

const FULL: StatusReport = {
  ...gatewayReport([
    sampleBackend({ name: "files", in_flight: 3, calls: 41, latency_ms: { p50: 3.4, p99: 80 }, restarts: 2 }),
    sampleBackend({ name: "db", phase: "Failed", reason: "ended with exit code 1" }),
    sampleBackend({ name: "off", enabled: false }),
  ]),
  shares: [
    sampleShare({ name: "CORE" }),
    sampleShare({
      name: "MEDIA",
      active_interface: "fallback",
      tb_recovery_pending: true,
      conditions: [{ ...condition("open files keep MEDIA on fallback"), holders: HOLDERS }],
    }),
    sampleShare({
      name: "GONE",
      mount_state: "error",
      active_interface: "none",
      last_error: "no route answers",
    }),
  ],
};

function shown(status: StatusReport, width: number, height: number, chosen: string | null = null): string[] {
  const rows = dashboardRows({ status, approvals: sampleApprovals() });
  return textOf(dashboardLines(rows, chosenRow(rows, chosen), [], { ...viewOf(width), height }, SAMPLE_NOW));
}

function moved(rows: readonly DashboardRow[], chosen: string | null, name: "up" | "down" | "end") {
  const ids = rows.filter(isChoice).map(({ id }) => id);
  const known = { ids, chosen: chosenRow(rows, chosen)?.id ?? null, top: ids[0] ?? null };
  return pressListKey<string>(EMPTY_LIST, { kind: "named", name }, known)?.chosen ?? null;
}

describe("the dashboard", () => {
  test("C3 shows on a Ready backend that a call has waited long", () => {
    const waits = sampleBackend({ in_flight: 1, waiting_calls: { count: 1, longest_ms: 45_000 } });
    assert.match(
      shown(gatewayReport([waits]), 140, 60).join("\n"),
      /files +Ready: 1 call has waited 45 s {2}14 tools, 3 resources, 1 in flight, pid 812/,
    );
  });

  test("C3 shows a backend's group and its withheld tools", () => {
    const backend = sampleBackend({ group: "search", withheld_tools: 3 });
    assert.match(
      shown(gatewayReport([backend]), 200, 60).join("\n"),
      /3 tools filtered, group search, pid 812/,
    );
  });

  test("F2 notices are listed below everything, problems above, and neither repeats a name", () => {
    const conditions = [
      { ...condition("server files asks each client"), severity: "info" as const },
      condition("server files: does not answer"),
    ];
    const status = gatewayReport([sampleBackend({ name: "files", conditions })]);
    const heads = shown(status, 140, 60).filter((line) => /^\S.*\(\d\)|^ {2}. files: /.test(line));
    assertEach(heads, (line) => line.replace(/ {2}(http|do).*/, ""), [
      "Waits for approval (1)",
      "Needs attention (1)",
      "  ▲ files: does not answer (for 9 s)",
      "Servers (1)",
      "Notes (1)",
      "  i files: asks each client (for 9 s)",
    ]);
  });

  test("F2 with 23 servers at 80 by 24, two troubles take two lines, and eight take five, the chosen one among them", () => {
    const servers = (causes: number, lead = "server-") =>
      gatewayReport(
        Array.from({ length: 23 }, (_, at) =>
          sampleBackend({
            name: `${lead}${at}`,
            conditions:
              at < 8
                ? [
                    {
                      ...condition(`cause ${at % causes}: ${"it is long ".repeat(12)}`),
                      cause: { text: `cause ${at % causes}`, hint: null },
                    },
                  ]
                : [],
          }),
        ),
      );
    const draw = (causes: number, chosen: string | null = null, lead = "server-") => {
      const rows = dashboardRows({ status: servers(causes, lead), approvals: null });
      const size = { ...viewOf(80), height: 22 };
      return textOf(dashboardLines(rows, chosenRow(rows, chosen), [], size, SAMPLE_NOW));
    };
    const troublesIn = (lines: readonly string[]) =>
      lines.filter((line) => /▲ (?!.*Ready:).*: cause \d|more; the arrows/.test(line));
    const serversIn = (lines: readonly string[]) => lines.filter((line) => /server-\d+ +Ready/.test(line));
    for (const [causes, count] of [
      [2, 2],
      [8, 5],
    ] as const) {
      const lines = draw(causes);
      assert.equal(troublesIn(lines).length, count, lines.join("\n"));
      assert.ok(serversIn(lines).length >= 10, lines.join("\n"));
    }
    assert.match(draw(8).join("\n"), /… 4 more; the arrows lead to them/);
    const long = draw(2, null, "a-server-with-a-long-name-").join("\n");
    assert.match(long, /▲ gateway: a-server-with.*…: cause 0\n.*…: cause 1\n/);
    const last = dashboardRows({ status: servers(8), approvals: null }).findLast(
      (row) => row.kind === "condition",
    );
    assert.match(draw(8, last?.id).join("\n"), /▸ . server-7: cause 7/);
  });

  test("F2 shows the connected clients below the backends", () => {
    const clients = [sampleClient({ name: "sly\u202e" })];
    const rows = dashboardRows({ status: gatewayReport(), approvals: null, clients, nowMs: SAMPLE_NOW });
    const text = textOf(dashboardLines(rows, null, [], { ...viewOf(140), height: 60 }, SAMPLE_NOW)).join(
      "\n",
    );
    assert.match(
      text,
      /Clients \(1\)\n {2}sly\\u\{202e\} 2\.1\.0 +ann {2}2025-11-25 over HTTP {2}for 5 min {2}12 calls {2}no such file \(1 min ago\)/,
    );
  });

  test("F2 shows shares with route and health, backends with phase and calls, pending entries, and conditions", () => {
    const text = shown(FULL, 200, 60).join("\n");
    for (const part of [
      / {2}● CORE +mounted over Thunderbolt/,
      /▲ MEDIA +mounted over Fallback, TB Ready/,
      /▲ TB Ready: Thunderbolt is back\. It switches once files are closed\. t tries now, ! forces it; these files are open:/,
      /Finder \(1\) \/v\/1\.psd/,
      /and 2 more/,
      /Shares \(3\)\n▸ ✗ GONE +not mounted: no route answers\n {2}▲ MEDIA/,
      /● files +Ready +14 tools, 3 resources, 3 in flight, 2 restarts, pid 812, 41 calls, typical 3\.4 ms, 99 % within 80 ms/,
      /Servers \(3\).*\n {2}✗ db +Failed: ended with exit code 1/,
      /○ off +disabled/,
      /Waits for approval \(1\)/,
      /▲ backends\.files: server files would run evil instead/,
      /▲ MEDIA: open files keep MEDIA on fallback \(for 9 s\)\n {4}do this/,
      /none yet/,
    ])
      assert.match(text, part);
  });

  test("F2 a server that fails often shows the cause at 80 columns, not only how often", () => {
    const text = "cannot start no-such-program: it is not installed, or not on PATH";
    const title = `server figma failed 12 times in a row: ${text}`;
    const conditions = [
      { ...condition(title), severity: "error" as const, cause: { text, hint: "install it" } },
    ];
    const backend = sampleBackend({ name: "figma", phase: "Failed", conditions });
    assert.match(
      shown(gatewayReport([backend]), 80, 24).join("\n"),
      /✗ figma +Failed: cannot start no-such-program: it is not installed/,
    );
  });

  test("from 60 by 15 to 200 by 60 nothing is wider or longer than its space, and the chosen row is visible", () => {
    const rows = dashboardRows({ status: FULL, approvals: sampleApprovals() });
    for (const [width, height] of [
      [60, 12],
      [80, 21],
      [200, 57],
      [60, 57],
      [200, 12],
    ] as const) {
      let chosen: string | null = null;
      for (let step = 0; step < 8; step += 1) {
        const lines = shown(FULL, width, height, chosen);
        assert.ok(lines.length <= height, `${lines.length} lines in ${height}`);
        assert.ok(lines.every((line) => columns(line) <= width));
        assert.equal(lines.filter((line) => line.startsWith("▸")).length, 1, lines.join("\n"));
        chosen = moved(rows, chosen, "down");
      }
    }
  });

  test("a choice stays with its row, stops at both ends, and moves on when its row is gone", () => {
    const rows = dashboardRows({ status: FULL, approvals: null });
    assert.equal(chosenRow(rows, null)?.id, "share GONE");
    assert.equal(moved(rows, "share GONE", "up")?.split(" ")[0], "condition");
    assert.equal(moved(rows, "share CORE", "down"), "server db");
    assert.equal(moved(rows, "share CORE", "end"), "server off");
    const fewer = dashboardRows({ status: sampleReport([sampleShare({ name: "MEDIA" })]), approvals: null });
    assert.equal(chosenRow(fewer, "server files")?.id, "share MEDIA");
    assert.equal(chosenRow(dashboardRows({ status: sampleReport([]), approvals: null }), null), null);
  });

  test("foreign names cannot control the terminal, and wide ones are measured", () => {
    const name = "日本語の共有フォルダ\u001b[31m\u202e";
    const lines = shown(sampleReport([sampleShare({ name })]), 60, 12);
    assert.ok(lines.every((line) => columns(line) <= 60));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
    assert.doesNotMatch(lines.join(""), /[\u001b\u202e]/);
    assert.match(lines.join("\n"), /▸ ● 日本語の/);
  });
});
