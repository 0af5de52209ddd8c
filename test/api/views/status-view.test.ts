import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition, StatusReport } from "../../../src/api/contract/contract.ts";
import { renderStatus } from "../../../src/api/views/status-view.ts";
import { columns, shellCommand } from "../../../src/runtime/text/plain-text.ts";
import { gatewayReport, sampleBackend } from "../sample-gateway.ts";
import { SAMPLE_MOVES, SAMPLE_NOW, sampleReport, sampleShare, secondsAgo } from "../sample-report.ts";
import { assertHarmless, HOSTILE, isAsAgreed, PLAIN, testLooks } from "./looks.ts";

function condition(changes: Partial<Condition> = {}): Condition {
  return {
    code: "open_files",
    severity: "info",
    title: "2 files are open",
    hint: "close them, or switch with --force",
    since: secondsAgo(42),
    ...changes,
  };
}

const holders = [
  { pid: 812, command: "vim", path: "/home/ada/Shares/MEDIA/notes.txt" },
  { pid: 900, command: "Final Cut", path: "/home/ada/Shares/MEDIA/cut.mov" },
];
const ready = sampleShare({
  name: "MEDIA",
  active_interface: "fallback",
  tb_recovery_pending: true,
  last_switch_at: secondsAgo(300),
  tb_healthy_since: secondsAgo(42),
  conditions: [condition({ holders })],
});
const tbGone = sampleShare({
  active_interface: "fallback",
  tb_reachable: false,
  tb_reachable_since: null,
  tb_healthy_since: null,
  last_switch_at: secondsAgo(4),
});
const failed = sampleShare({
  name: "ARCHIVE",
  active_interface: "none",
  mount_state: "error",
  mount_alive: false,
  tb_reachable: false,
  tb_healthy_since: null,
  tb_reachable_since: secondsAgo(3),
  fb_reachable: false,
  last_switch_at: null,
  last_error: "neither 10.0.0.2 nor 192.168.1.20 answers",
});

const MOVING = {
  ...{ ...SAMPLE_MOVES, connections: 2, connections_in_all: 3, longest_wait_ms: 900, count: 1 },
  ...{ bytes_to_server: 3_000_000, bytes_from_server: 1_200_000_000 },
};

const STATES: Readonly<Record<string, StatusReport>> = {
  healthy: sampleReport(),
  busy: {
    ...gatewayReport([
      sampleBackend({
        calls: 812,
        errors: 3,
        latency_ms: { p50: 3.4, p99: 80 },
      }),
    ]),
    shares: [
      sampleShare({ moves: MOVING, bytes_per_sec: 1.2e7, space: { free_bytes: 1.2e12, total_bytes: 4e12 } }),
    ],
  },
  "failed-over": sampleReport([tbGone]),
  "tb-ready": sampleReport([ready]),
  "tb-ready-by-hand": sampleReport([{ ...ready, conditions: [] }], {
    lsof_recheck: false,
    auto_failback: true,
  }),
  "tb-ready-among-many": sampleReport([
    sampleShare(),
    ready,
    sampleShare({ name: "SCRATCH" }),
    sampleShare({ ...ready, name: "My Share", conditions: [] }),
  ]),
  "window-running": sampleReport([
    sampleShare({
      active_interface: "fallback",
      tb_healthy_since: secondsAgo(12),
      last_switch_at: secondsAgo(60),
    }),
  ]),
  "held-fallback": sampleReport([sampleShare({ active_interface: "fallback", override: "fallback" })]),
  "held-unmounted": sampleReport([
    sampleShare({
      active_interface: "none",
      mount_state: "unmounted",
      mount_alive: false,
      override: "unmounted",
    }),
  ]),
  failed: sampleReport([failed]),
  "not-answering": sampleReport([sampleShare({ mount_alive: false, last_error: "no answer for 10 s" })]),
  "unknown-route": sampleReport([
    sampleShare({
      active_interface: "none",
      conditions: [
        condition({
          code: "unknown_route",
          severity: "warning",
          title: "mounted from //old/CORE, which is not configured",
        }),
      ],
    }),
  ]),
  "local-folders": sampleReport([
    sampleShare({ tb_host: null, fb_host: null, mount_path: "/mnt/x", stable_path: "/mnt/x" }),
  ]),
  "no-daemon": sampleReport([sampleShare({ last_switch_at: null })], {
    pid: null,
    started_at: null,
    network_events: "off",
    auto_failback: true,
  }),
  "no-shares": sampleReport([]),
  "no-shares-yaml": sampleReport([], { config_path: "/home/ada/.mountaineer/config.yaml", pid: null }),
  "config-rejected": sampleReport(undefined, {
    conditions: [
      condition({
        code: "config_rejected",
        severity: "error",
        title:
          "The configuration file is not what runs: /home/ada/.mountaineer/config.toml:5:2: snyc: found an unknown " +
          "section, expected global, sync, server or shares; did you mean `sync`? (and 2 more)",
        hint: "The last accepted configuration keeps running. Correct the file, and it applies.",
      }),
      condition({
        code: "sync_stopped",
        severity: "warning",
        title: "The configuration file is no longer watched, because a reload failed",
        hint: "Correct the file, then: mountaineer reload",
      }),
    ],
  }),
  troubles: sampleReport(
    [
      sampleShare({
        conditions: [
          condition({
            severity: "error",
            title: "the password's variable NAS_PASSWORD is not set",
            hint: "export it",
          }),
          condition({ severity: "warning", title: "both hosts resolve to one address", hint: null }),
        ],
      }),
    ],
    {
      network_events: "polling",
      lsof_recheck: false,
      conditions: [
        condition({
          severity: "error",
          title: "state.json cannot be written: disk full",
          hint: "free some space",
        }),
      ],
    },
  ),
};

testLooks("status", STATES);

test("in colour the ready banner is a block over the whole width", (t) => {
  const text = renderStatus(sampleReport([ready]), { ...PLAIN, color: true });
  isAsAgreed(t, text, "status-tb-ready-colour");
  const block = text.split("\n").filter((line) => line.includes("\x1b[1;30;43m"));
  assert.ok(block.length >= 2);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are what is taken away.
  for (const line of block) assert.equal(columns(line.replaceAll(/\x1b\[[\d;]*m/g, "")), 80);
});

test("a status without UTF-8 is ASCII throughout", (t) => {
  const text = renderStatus(sampleReport([ready]), { ...PLAIN, unicode: false });
  isAsAgreed(t, text, "status-ascii");
  assert.match(text, /^[\n -~]+$/);
});

test("TB Ready can't be missed: each of these shares has a banner with the exact command to type", () => {
  for (const state of ["tb-ready", "tb-ready-by-hand", "tb-ready-among-many"]) {
    const text = renderStatus(STATES[state] ?? sampleReport(), { ...PLAIN, width: 60 });
    assert.match(text, /▶▶ +TB Ready/);
    assert.match(text, /▶▶ +mountaineer switch --share MEDIA --to tb$/m);
  }
  const many = renderStatus(STATES["tb-ready-among-many"] ?? sampleReport(), PLAIN);
  assert.match(many, /TB Ready: MEDIA, My Share$/m);
  assert.match(many, /--share 'My Share' --to tb$/m);
});

test("a share with one host shows only that: no other route, and no better one", () => {
  const one = sampleShare({
    active_interface: "fallback",
    tb_host: null,
    tb_reachable: false,
    fb_host: "nas.local",
  });
  const said = renderStatus(sampleReport([one]), PLAIN);
  assert.match(said, /mounted over nas\.local/);
  assert.match(said, /Host \S nas\.local \(in use\)$/m);
  assert.doesNotMatch(said, /folder|no answer|Thunderbolt|Fallback/);
});

test("hostile names, hosts, errors and holders do not reach the terminal", () => {
  const shown = { title: HOSTILE, hint: HOSTILE };
  const share = sampleShare({
    ...{ name: HOSTILE, tb_host: HOSTILE, fb_host: HOSTILE, mount_path: HOSTILE, stable_path: `/${HOSTILE}` },
    ...{ last_error: HOSTILE, tb_recovery_pending: true, override: "fallback" },
    conditions: [condition({ ...shown, holders: [{ pid: 1, command: HOSTILE, path: HOSTILE }] })],
  });
  const changes = { config_path: HOSTILE, version: HOSTILE, conditions: [condition(shown)] };
  for (const shares of [[share], []]) assertHarmless(renderStatus(sampleReport(shares, changes), PLAIN));
});

test("no width and no time, however odd, breaks it", () => {
  const odd = sampleReport([
    sampleShare({ last_switch_at: "yesterday", tb_healthy_since: "", name: "" }),
    tbGone,
  ]);
  for (const width of [0, 1, 39, Number.NaN, 10_000]) {
    for (const now of [0, SAMPLE_NOW, Number.NaN]) {
      const text = renderStatus(odd, { ...PLAIN, width, now });
      assert.doesNotMatch(text, /NaN|undefined|null/);
    }
  }
});

test("F6 a command in a hint stays on one line at any width, with every space of its names", () => {
  for (const name of ["Film", "My  old   Photos", "a\u00a0b"]) {
    const command = shellCommand`mountaineer unmount --share ${name} --force; mountaineer mount --share ${name}`;
    for (const hint of [
      `They are kept here. To send them: ${command}`,
      `Then \`${command}\`, which sends them.`,
    ])
      for (let width = 40; width < 110; width += 7) {
        const share = sampleShare({ name, conditions: [condition({ hint })] });
        assert.ok(
          renderStatus(sampleReport([share]), { ...PLAIN, width }).includes(command),
          `${width} ${hint}`,
        );
      }
  }
});

test("E2 a backend's pending entry is listed once, with that backend", () => {
  const waits = {
    code: "waiting_for_approval",
    severity: "warning" as const,
    title: "Waits for approval: server files would run evil",
    hint: "mountaineer approve backends.files",
    since: secondsAgo(5),
  };
  const other = { ...waits, title: "Waits for approval: trust", hint: "mountaineer approve trust" };
  const report = gatewayReport([sampleBackend({ name: "files", conditions: [waits] })]);
  const text = renderStatus({ ...report, global: { ...report.global, conditions: [waits, other] } }, PLAIN);
  assert.equal(text.replace(/\s+/g, " ").split("would run evil").length - 1, 1, text);
  assert.equal(text.split("approve trust").length - 1, 1, text);
});
