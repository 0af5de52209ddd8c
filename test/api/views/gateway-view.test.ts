import assert from "node:assert/strict";
import { test } from "node:test";
import type { StatusReport } from "../../../src/api/contract/contract.ts";
import { renderBackends } from "../../../src/api/views/gateway-view.ts";
import { renderStatus } from "../../../src/api/views/status-view.ts";
import { absentBackends } from "../../../src/cli/views/tools-view.ts";
import { gatewayReport, sampleBackend } from "../sample-gateway.ts";
import { SAMPLE_NOW, sampleReport, sampleShare, secondsAgo } from "../sample-report.ts";
import { assertHarmless, HOSTILE, PLAIN, testLooks } from "./looks.ts";

const http = sampleBackend({
  name: "web",
  type: "streamable-http",
  pid: null,
  tools: 3,
  resources: 0,
  prompts: 1,
  in_flight: 2,
});
const failed = sampleBackend({
  name: "github",
  phase: "Failed",
  reason: "3 starts in a row failed",
  pid: null,
  tools: 0,
  resources: 0,
  restarts: 3,
  retry_at: new Date(SAMPLE_NOW + 12_300).toISOString(),
  last_error: "spawn uvx ENOENT",
});
const changed = sampleBackend({
  name: "db",
  draining: 1,
  instances: 2,
  restarts: 1,
  last_error: "exited with code 1",
  conditions: [
    {
      code: "variable_missing",
      severity: "error",
      title: "the environment variable DB_TOKEN is not set",
      hint: "set it for the daemon and start it again",
      since: secondsAgo(60),
    },
  ],
});
const starting = sampleBackend({
  name: "slow",
  phase: "Initializing",
  reason: "initialize has no answer yet",
  tools: 0,
  resources: 0,
});
const degraded = sampleBackend({ name: "shaky", phase: "Degraded", reason: "a ping had no answer" });
const disabled = sampleBackend({
  name: "old",
  enabled: false,
  phase: "Pending",
  pid: null,
  tools: 0,
  resources: 0,
});
const unset = sampleBackend({
  name: "github",
  phase: "Failed",
  reason: "not set in the environment: GITHUB_TOKEN",
  last_error: "not set in the environment: GITHUB_TOKEN",
  pid: null,
  tools: 0,
  resources: 0,
  conditions: [
    {
      code: "secret_missing",
      severity: "error",
      title: "server github cannot start: not set in the environment: GITHUB_TOKEN",
      hint: "Set GITHUB_TOKEN in the environment of the daemon and restart it, or write another reference.",
      since: secondsAgo(60),
    },
  ],
});
const busyPort = {
  url: null,
  sessions: 0,
  in_flight: 0,
  conditions: [
    {
      code: "listen_failed",
      severity: "error",
      title: "127.0.0.1:9000 is in use by nginx (pid 77)",
      hint: "end it, or set another [server].port; it is tried again",
      since: secondsAgo(5),
    },
  ],
} as const;

const STATES: Readonly<Record<string, StatusReport>> = {
  alone: gatewayReport([sampleBackend(), http]),
  both: gatewayReport([sampleBackend()], { shares: [sampleShare()] }),
  troubles: gatewayReport([sampleBackend(), failed, changed, starting, degraded, disabled], {
    gateway: { ...busyPort, conditions: [...busyPort.conditions] },
  }),
  "no-backends": gatewayReport([], { gateway: { tools: 0, resources: 0, sessions: 0, in_flight: 0 } }),
  "told-once": gatewayReport([unset, sampleBackend({ group: "work", withheld_tools: 3 })], {
    gateway: {
      conditions: [
        {
          code: "catalog_hidden",
          severity: "info",
          title: "files and web offer the same names, and those of web are not published: tool search",
          hint: 'Rename them with [backends.web.tool_overrides], or set [conflict_resolution].strategy = "prefix".',
          since: secondsAgo(60),
        },
      ],
    },
  }),
  "no-daemon": gatewayReport([{ ...starting, phase: "Pending", reason: "no daemon runs", pid: null }], {
    gateway: { url: null },
    global: { pid: null, started_at: null },
  }),
};

testLooks("gateway", STATES, ["troubles"]);

test("C3 a call that has waited long is listed below its backend, which may still be Ready", () => {
  const waits = sampleBackend({ in_flight: 2, waiting_calls: { count: 2, longest_ms: 45_000 } });
  assert.match(renderStatus(gatewayReport([waits]), PLAIN), /Ready .*\n +▲ 2 calls have waited up to 45 s/);
  assert.doesNotMatch(renderStatus(gatewayReport([sampleBackend()]), PLAIN), /waited/);
});

test("C3 each problem of a backend is listed once", () => {
  const text = renderStatus(STATES["told-once"] ?? gatewayReport(), { ...PLAIN, width: 200 });
  assert.equal(text.match(/not set in the environment/g)?.length, 1, text);
  const idle = renderStatus(STATES["no-daemon"] ?? gatewayReport(), PLAIN);
  assert.equal(idle.match(/no daemon runs/g)?.length, 1, idle);
});

test("C3 without shares a gateway mentions none, and shares without a gateway mention none", () => {
  const gateway = renderStatus(gatewayReport(), PLAIN);
  assert.doesNotMatch(gateway, /share|recovery|Thunderbolt|looking/i);
  const shares = renderStatus(sampleReport(), PLAIN);
  assert.doesNotMatch(shares, /gateway|backend|tool|session/i);
  const both = renderStatus(STATES["both"] ?? gatewayReport(), PLAIN);
  assert.match(both, /recovery[\s\S]*CORE[\s\S]*gateway[\s\S]*files/);
});

test("each phase, and a disabled backend, has its own mark, even without colour", () => {
  const text = renderBackends([sampleBackend(), degraded, failed, starting, disabled], {
    ...PLAIN,
    unicode: false,
  });
  assert.match(text, /^[\n -~]+$/);
  assert.match(text, /^\* files {3}Ready /m);
  assert.match(text, /^! shaky {3}Degraded /m);
  assert.match(text, /^x github {2}Failed /m);
  assert.match(text, /^o slow {4}Starting /m);
  assert.match(text, /^o old {5}disabled$/m);
});

test("hostile names, reasons and errors do not reach the terminal, and no odd time or width breaks it", () => {
  const backend = sampleBackend({
    ...{ name: HOSTILE, phase: "Failed", reason: HOSTILE, last_error: `${HOSTILE}2` },
    ...{ retry_at: HOSTILE, since: HOSTILE },
    conditions: [{ code: "x", severity: "warning", title: HOSTILE, hint: HOSTILE, since: "" }],
  });
  const report = gatewayReport([backend], { gateway: { url: HOSTILE } });
  for (const width of [0, 1, 80, Number.NaN]) assertHarmless(renderStatus(report, { ...PLAIN, width }));
  for (const line of absentBackends([backend], SAMPLE_NOW)) assertHarmless(line);
});

test("backends that publish nothing are listed with the reason, for anyone who misses a tool", () => {
  assert.deepEqual(absentBackends([sampleBackend(), degraded, disabled, failed, starting], SAMPLE_NOW), [
    "server github: Failed for 10 min: 3 starts in a row failed",
    "server slow: Starting for 10 min: initialize has no answer yet",
  ]);
});

test("B2 status says how many servers run and sleep, and how much memory the running ones take", () => {
  const asleep = sampleBackend({
    name: "calm",
    phase: "Asleep",
    reason: "it starts when it is needed",
    pid: null,
  });
  const shown = (running: number, sleeping: number, memory: number | null): string => {
    const { gateway, ...report } = gatewayReport([asleep]);
    assert.ok(gateway !== undefined);
    const programs = { running, asleep: sleeping, memory_mb: memory };
    const wide = { ...PLAIN, width: 200 };
    return renderStatus({ ...report, gateway: { ...gateway, programs } }, wide).replaceAll("\u00a0", " ");
  };
  assert.match(shown(12, 28, 840), /12 servers run \(840 MB\), 28 asleep/);
  assert.match(shown(1, 0, null), /, 1 server runs$/m);
  assert.match(shown(0, 1, 0), /calm +Asleep/);
});
