// Logs and audit in a real terminal, over a management server whose records the test decides.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { AuditEntry, AuditRequest, LogLine, LogRequest } from "../../src/api/records-contract.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { startRig } from "../api/management-rig.ts";
import { scriptedConfig } from "../api/sample-config.ts";
import { gatewayReport, sampleAudit, sampleBackend, scriptedGateway } from "../api/sample-gateway.ts";
import { scriptedControl } from "../api/sample-report.ts";
import { eventually } from "../support/eventually.ts";
import { MOUNTAINEER, openScene, row, type Scene } from "./scene.ts";
import { NO_TERMINAL } from "./terminal.ts";

const RECORDS = 250;

/** Newest first; every fifth is denied, and the backends take turns. */
const AUDIT: readonly AuditEntry[] = Array.from({ length: RECORDS }, (_, index): AuditEntry => {
  const number = RECORDS - index;
  return {
    time: new Date(Date.UTC(2026, 0, 5, 12, 0, number)).toISOString(),
    kind: "request",
    principal: number % 2 === 0 ? "ada" : "grace",
    method: "tools/call",
    target: `tool:look_${number}`,
    backend: number % 2 === 0 ? "files" : "web",
    outcome: number % 5 === 0 ? "denied" : "ok",
    duration_ms: number,
    arguments: { path: `/data/${number}`, note: "\u001b[31mred" },
  };
});

function pageOf({ limit = 100, before, backend, tool, principal, outcome, text }: AuditRequest) {
  const wanted = AUDIT.filter(
    (record) =>
      (backend === undefined || record.backend === backend) &&
      (tool === undefined || record.target === `tool:${tool}`) &&
      (principal === undefined || record.principal === principal) &&
      (outcome === undefined || record.outcome === outcome) &&
      (text === undefined || JSON.stringify(record).includes(text)),
  );
  const from = before === undefined ? 0 : Number(/\.(\d+)$/.exec(before)?.[1]);
  const end = from + limit;
  const more = end < wanted.length;
  return sampleAudit({ records: wanted.slice(from, end), more, next: more ? `1-1.${end}` : null });
}

interface Records {
  readonly scene: Scene;
  readonly asked: AuditRequest[];
  readonly log: LogLine[];
  /** Of the backend web, oldest first. */
  readonly lines: string[];
  /** What the log's questions end with; null: with its lines. */
  failure: MountaineerError | null;
}

async function openRecords(t: TestContext, screen: string): Promise<Records & AsyncDisposable> {
  const asked: AuditRequest[] = [];
  const log: LogLine[] = [];
  const lines: string[] = [];
  const gateway = {
    ...scriptedGateway(),
    async logs({ backend }: { backend: string }) {
      return { lines: backend === "web" ? [...lines] : [`${backend} started`] };
    },
    async audit(request: AuditRequest) {
      asked.push(request);
      return pageOf(request);
    },
  };
  const status = gatewayReport([sampleBackend({ name: "files" }), sampleBackend({ name: "web" })]);
  const records = { asked, log, lines, failure: null as MountaineerError | null };
  const { home } = await startRig(t, {
    control: { ...scriptedControl(), status: () => status },
    config: scriptedConfig(),
    gateway,
    records: {
      async daemonLog({ limit = 100 }: LogRequest) {
        if (records.failure !== null) throw records.failure;
        const newest = log.slice(-limit).reverse();
        return { path: "/home/ada/.mountaineer/mountaineer.log", lines: newest, more: false, next: null };
      },
    },
  });
  const scene = await openScene(t, {
    columns: 100,
    mountaineerHome: home,
    command: `exec ${MOUNTAINEER} tui --screen ${screen}`,
  });
  return Object.assign(records, { scene, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() });
}

function logLine(message: string, over: Partial<LogLine> = {}): LogLine {
  return { at: "2026-01-05T12:00:00.000Z", level: "info", message, ...over };
}

function hasNot(text: string): (lines: readonly string[]) => boolean {
  return (lines) => !lines.join("\n").includes(text);
}

describe("the records in a terminal", { skip: NO_TERMINAL, concurrency: 1 }, () => {
  test("F2 logs: the daemon's and each backend's, followed at the end, scrolled, filtered, never obeyed", async (t) => {
    await using records = await openRecords(t, "logs");
    const { scene, log, lines } = records;
    const { terminal } = scene;
    await terminal.until("no lines");
    log.push(logLine("backend.ended", { level: "warn", fields: { backend: "files", code: 7 } }));
    await terminal.until("warn  backend.ended backend=files code=7");
    for (let count = 1; count <= 300; count += 1) log.push(logLine(`said ${count}.`));
    await terminal.until("said 300.");
    await terminal.press("Home");
    await terminal.until("backend.ended");
    log.push(logLine("said 301."));
    await terminal.press("End");
    await terminal.until("said 301.");
    await terminal.press("/", "said 29");
    await terminal.until("said 299.");
    await terminal.until(hasNot("said 301."));
    await terminal.press("Enter");
    await terminal.until("/ filter");
    await terminal.press("Escape");
    await terminal.until("said 301.");
    lines.push("\u001b[2Jwiped", `${"x".repeat(120)}the end`);
    await terminal.press("Tab", "Tab");
    await terminal.until("wiped");
    await terminal.shows((shown) => assert.match(row(shown, /wiped/), /^\S+wiped$/));
    await terminal.until(hasNot("the end"));
    await terminal.press("Right", "Right");
    await terminal.until("the end");
    await terminal.press("BTab");
    await terminal.until("files started");
    await terminal.press("d", ":", "logs of web");
    await terminal.until("▸ logs of web");
    await terminal.press("Enter");
    await terminal.until((shown) => /\[l\] Logs/.test(shown[0] ?? "") && shown.join().includes("wiped"));
  });

  test("F2 logs: why they cannot be read is told, and what was read stays", async (t) => {
    await using records = await openRecords(t, "logs");
    const { terminal } = records.scene;
    records.log.push(logLine("said before"));
    await terminal.until("said before");
    records.failure = new MountaineerError("timed_out", "the disk does not answer");
    await terminal.until("✕ the disk does not answer");
    await terminal.until("said before");
    records.failure = null;
    await terminal.until(hasNot("the disk does not answer"));
  });

  test("F2 audit: newest first, all of a record, older pages as they are reached, filters of every kind", async (t) => {
    await using records = await openRecords(t, "audit");
    const { scene, asked } = records;
    const { terminal } = scene;
    await terminal.until("100+ records");
    await terminal.shows((lines) => {
      assert.match(row(lines, /look_250/), /^▸ .*denied +ada +tool:look_250 {2}on files {2}250 ms$/);
      assert.match(row(lines, /look_249/), /ok +grace +tool:look_249 {2}on web/);
    });
    await terminal.press("Down", "Enter");
    await terminal.until("/data/249");
    await terminal.shows((lines) => {
      row(lines, /outcome: ok/);
      assert.ok(!lines.join().includes("look_250"));
    });
    assert.ok(!(await terminal.painted()).includes("\u001b[31mred"));
    await terminal.press("Escape");
    await terminal.until("look_250");
    await terminal.press("End");
    await terminal.until("look_151");
    await terminal.until("200+ records");
    await terminal.press("End");
    await terminal.until("  250 records");
    await terminal.press("End");
    await terminal.until("▸ 01-05");
    await terminal.until((lines) => /look_1\b/.test(lines.join("\n")));
    await terminal.press("n", "b");
    await terminal.until("only backend files");
    await terminal.until(hasNot("on web"));
    await terminal.press("p");
    await terminal.until("principal ada");
    await terminal.press("o");
    await terminal.until("outcome denied");
    await terminal.until("  25 records");
    await terminal.press("w");
    await terminal.until("  1 records");
    await eventually(() => asked.at(-1)?.tool === "look_250");
    await terminal.press("Escape");
    await terminal.until("100+ records");
    await terminal.press("/", "/data/77", "Enter");
    await terminal.until("look_77");
    await terminal.until("  1 records");
    assert.deepEqual(asked.at(-1), { limit: 100, text: "/data/77" });
    await terminal.press("Tab");
    await terminal.until((lines) => /\[e\] Events/.test(lines[0] ?? ""));
  });
});
