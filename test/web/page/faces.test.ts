// The same states in all faces: each says the same words about a share or a backend, in the same tone.
import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  BackendStatus,
  Condition,
  MovesStatus,
  ShareStatus,
} from "../../../src/api/contract/contract.ts";
import { statementsOf } from "../../../src/api/labels/change-labels.ts";
import { machineLines } from "../../../src/api/labels/fleet-labels.ts";
import type { Tone } from "../../../src/api/labels/label.ts";
import { cableText } from "../../../src/api/labels/share-labels.ts";
import { shareWhy } from "../../../src/api/labels/why.ts";
import { renderStatus } from "../../../src/api/views/status-view.ts";
import { renderWhy } from "../../../src/api/views/why-view.ts";
import { renderFleet } from "../../../src/cli/views/fleet-view.ts";
import { renderShares } from "../../../src/cli/views/place-view.ts";
import { readSummary, stateOf, summaryText } from "../../../src/fleet/summary.ts";
import { menuOf } from "../../../src/menubar/menu/model.ts";
import { SHARE_CONDITIONS } from "../../../src/shares/policy/condition-rows.ts";
import { dashboardLines } from "../../../src/tui/dashboard/dashboard-lines.ts";
import { dashboardRows } from "../../../src/tui/dashboard/dashboard-rows.ts";
import type { Line } from "../../../src/tui/terminal/line.ts";
import { findTroubles } from "../../../src/web/page/home/troubles.ts";
import { SharePanel } from "../../../src/web/page/shares/share-panel.ts";
import { partAt } from "../../../src/web/page/shell/views.ts";
import { sampleFleet, sampleMachine } from "../../api/sample-fleet.ts";
import { gatewayReport, sampleBackend } from "../../api/sample-gateway.ts";
import { SAMPLE_MOVES, SAMPLE_NOW, sampleShare, secondsAgo } from "../../api/sample-report.ts";
import { everyItem, outline, sampleWorld } from "../../menubar/worlds.ts";
import { pluck } from "../../support/pluck.ts";
import { viewOf } from "../../tui/views.ts";
import { scriptedApp } from "./scripted-app.ts";
import { mount } from "./tiny-dom.ts";

type State<Status> = readonly [changes: Partial<Status>, text: string, tone: Tone];

function condition(severity: Condition["severity"], code = "x"): Condition {
  return { code, severity, title: `a ${severity}`, hint: null, since: secondsAgo(60) };
}

function moves(phase: MovesStatus["phase"]): { readonly moves: MovesStatus } {
  return { moves: { ...SAMPLE_MOVES, phase } };
}

const fallback = { active_interface: "fallback" } as const;
const unknown = { active_interface: "none" } as const;
const out = { mount_state: "unmounted", active_interface: "none", mount_alive: false } as const;
const failed = { ...out, mount_state: "error" } as const;
const hangs = { mount_alive: false } as const;
const error = { last_error: "no host answers" };
const told = (severity: Condition["severity"]) => ({ conditions: [condition(severity)] });
const ready = { ...fallback, tb_recovery_pending: true };
const NO_ROUTE = "mounted, no route: programs get errors";
const WAITS = "mounted, programs wait for a route";

const SHARES: readonly State<ShareStatus>[] = [
  [{}, "mounted over Thunderbolt", "good"],
  [told("info"), "mounted over Thunderbolt", "good"],
  [told("warning"), "mounted over Thunderbolt", "warning"],
  [told("error"), "mounted over Thunderbolt", "warning"],
  [error, "mounted over Thunderbolt", "warning"],
  [hangs, "mounted over Thunderbolt, not answering", "bad"],
  [{ ...hangs, ...error }, "mounted over Thunderbolt, not answering", "bad"],
  [moves("serving"), "mounted over Thunderbolt", "good"],
  [{ ...moves("serving"), ...hangs }, "mounted over Thunderbolt, not answering", "bad"],
  [moves("refused"), "mounted, login refused: programs get errors", "bad"],
  [moves("waiting"), WAITS, "warning"],
  [{ ...moves("waiting"), ...unknown }, WAITS, "warning"],
  [moves("away"), "mounted over Thunderbolt", "good"],
  [moves("over"), NO_ROUTE, "bad"],
  [{ ...moves("over"), ...unknown }, NO_ROUTE, "bad"],
  [{ ...moves("over"), ...fallback, ...error }, NO_ROUTE, "bad"],
  [fallback, "mounted over Fallback", "warning"],
  [{ ...fallback, ...hangs }, "mounted over Fallback, not answering", "bad"],
  [{ ...fallback, ...moves("serving") }, "mounted over Fallback", "warning"],
  [{ ...fallback, ...moves("waiting") }, WAITS, "warning"],
  [{ ...fallback, override: "fallback" }, "mounted over Fallback, set by hand", "plain"],
  [{ ...fallback, ...moves("serving"), override: "fallback" }, "mounted over Fallback, set by hand", "plain"],
  [{ ...fallback, ...error, override: "fallback" }, "mounted over Fallback, set by hand", "warning"],
  [{ ...moves("over"), override: "fallback" }, `${NO_ROUTE}, set by hand`, "bad"],
  [ready, "mounted over Fallback, TB Ready", "warning"],
  [{ ...ready, ...moves("serving") }, "mounted over Fallback, TB Ready", "warning"],
  [{ ...ready, ...hangs }, "mounted over Fallback, not answering, TB Ready", "bad"],
  [unknown, "mounted over an unknown route", "warning"],
  [{ ...unknown, ...hangs }, "mounted over an unknown route, not answering", "bad"],
  [out, "not mounted", "bad"],
  [{ ...out, override: "unmounted" }, "not mounted, set by hand", "plain"],
  [{ ...out, ...error, override: "unmounted" }, "not mounted, set by hand", "warning"],
  [{ ...out, ...error }, "not mounted", "bad"],
  [failed, "not mounted", "bad"],
  [{ ...failed, ...error }, "not mounted", "bad"],
  [{ ...failed, override: "unmounted" }, "not mounted, set by hand", "bad"],
];

const route = (name: string, changes: object = {}) => ({
  ...{ name, type: "stdio" as const, target: name, in_use: false },
  ...{ healthy_since: null, stable_at: null, retry_at: null, last_error: null },
  ...changes,
});
const over = (used: string | null, changes: object = {}) => ({
  routes: {
    ...{ in_use: used, override: null, recovery_pending: null },
    list: ["lan", "wan"].map((name) => route(name, { in_use: name === used })),
    ...changes,
  },
});
const pending = { recovery_pending: { route: "lan", reason: "a call is under way" } };
const held = { conditions: [condition("warning", "waiting_for_approval")] };

const BACKENDS: readonly State<BackendStatus>[] = [
  [{}, "Ready", "good"],
  [{ last_error: "exit 1" }, "Ready", "good"],
  [{ waiting_calls: { count: 1, longest_ms: 45_000 } }, "Ready", "good"],
  [told("info"), "Ready", "good"],
  [told("warning"), "Ready", "warning"],
  [told("error"), "Ready", "warning"],
  [held, "Ready", "warning"],
  [over("lan"), "Ready over lan", "good"],
  [over("wan"), "Ready over wan", "warning"],
  [over("wan", { override: "wan" }), "Ready over wan, set by hand", "good"],
  [over("wan", pending), "Ready over wan, lan is ready", "warning"],
  [{ ...over("wan"), ...told("warning") }, "Ready over wan", "warning"],
  [{ phase: "Pending" }, "Pending", "plain"],
  [{ phase: "Pending", reason: "waits for its share" }, "Pending", "plain"],
  [{ phase: "Initializing" }, "Starting", "plain"],
  [{ phase: "Initializing", ...told("warning") }, "Starting", "warning"],
  [{ phase: "Degraded", reason: "no answer" }, "Degraded", "warning"],
  [{ phase: "Degraded", ...over("wan") }, "Degraded over wan", "warning"],
  [{ phase: "Failed", reason: "exit 1" }, "Failed", "bad"],
  [{ phase: "Failed", ...told("error") }, "Failed", "bad"],
  [{ phase: "Failed", ...over(null) }, "Failed", "bad"],
  [{ phase: "ShuttingDown" }, "Stopping", "plain"],
  [{ enabled: false, phase: "Pending" }, "disabled", "plain"],
  [{ enabled: false, phase: "Pending", ...held }, "waits for approval", "warning"],
];

const shares = SHARES.map(([changes], at) => sampleShare({ ...changes, name: `S${at}` }));
const backends = BACKENDS.map(([changes], at) => sampleBackend({ ...changes, name: `B${at}` }));
const STATUS = gatewayReport(backends, { shares });

type Said = ReadonlyMap<string, { readonly text: string; readonly tone: Tone | null }>;

const CODES: Readonly<Record<string, Tone>> = { 32: "good", 2: "plain", 33: "warning", 31: "bad" };

/** What a terminal shows behind a name and its blanks: `\x1b[33mmounted over Fallback`. */
function paintedBehind(text: string, name: string): { text: string; tone: Tone | null } | null {
  const found = new RegExp(
    `\x1b\\[1m${name}(?:\x1b\\[22m)? *(?:\x1b\\[22m)? *\x1b\\[(\\d+)m([^\x1b]+?) *\x1b`,
  ).exec(text);
  return found === null ? null : { text: found[2] ?? "", tone: CODES[found[1] ?? ""] ?? null };
}

/** Of a line, the piece behind the name. */
function spanBehind(lines: readonly Line[], name: string): { text: string; tone: Tone | null } | null {
  for (const line of lines) {
    const at = line.findIndex(({ text }) => text.trim() === name);
    const said = line[at + 1];
    if (at !== -1 && said !== undefined) return { text: said.text.trim(), tone: toneOf(said.tone) };
  }
  return null;
}

function toneOf(tone: string): Tone | null {
  return (["good", "plain", "warning", "bad"] as const).find((each) => each === tone) ?? null;
}

const names = [...shares, ...backends].map(({ name }) => name);
const WIDE = { ...viewOf(240), height: 10_000 };
const COLOURED = { width: 240, color: true, unicode: true, now: SAMPLE_NOW };

function each(said: (name: string) => { text: string; tone: Tone | null } | null): Said {
  return new Map(
    names.flatMap((name) => {
      const words = said(name);
      return words === null ? [] : [[name, words] as const];
    }),
  );
}

function told_of(): Readonly<Record<string, () => Said>> {
  const machine = (() => {
    const state = { ...stateOf(STATUS), conditions: [] };
    const summary = { name: "m", instance: "i", word: "here", state } as const;
    const reading = readSummary("m", Buffer.from(summaryText(summary)));
    return reading.ok ? reading.summary.state : assert.fail(reading.problem);
  })();
  const fleet = sampleFleet({ machines: [sampleMachine({ name: "m", state: machine })] });
  const withoutTools = (text: string): string =>
    text.replace(/, 14 tools.*$/, "").replace(/: no host.*$/, "");
  return {
    "mountaineer status": () => {
      const text = renderStatus(STATUS, COLOURED);
      return each((name) => paintedBehind(text, name));
    },
    "mountaineer shares list": () => {
      const hosts = { thunderbolt: "a", fallback: "b" };
      const list = shares.map(({ name }) => ({ name, ...hosts, stable_path: "/s", aliases: [] }));
      const text = renderShares(list, shares, COLOURED);
      return each((name) => paintedBehind(text, name));
    },
    "the TUI's dashboard": () => {
      const lines = dashboardLines(
        dashboardRows({ status: STATUS, approvals: null }),
        null,
        [],
        WIDE,
        SAMPLE_NOW,
      );
      return each((name) => spanBehind(lines, name));
    },
    "mountaineer status --follow": () => {
      const sentences = statementsOf(STATUS);
      const of = (name: string) =>
        [`share ${name}`, `server ${name}`].flatMap((key) => sentences.get(key) ?? [])[0];
      const behind = /^\w+ \w+: (.*?)(?:, 14 tools.*|, (?:exit 1|no answer|waits for its share))?(?:; .*)?$/;
      return each((name) => ({ text: behind.exec(of(name) ?? "")?.[1] ?? "", tone: null }));
    },
    "the page": () => {
      const app = scriptedApp({}, { status: STATUS });
      using shareView = mount(partAt("#/shares").part.view as never, { app });
      using serverView = mount(partAt("#/servers").part.view as never, { app });
      const rows = [...shareView.elements("tr"), ...serverView.elements("tr")];
      return each((name) => {
        const row = rows.find((row) => row.childNodes[0]?.textContent === name);
        const mark = row?.all().find((node) => node.getAttribute("class")?.startsWith("mark "));
        const tone = toneOf(mark?.getAttribute("class")?.replace("mark ", "") ?? "");
        return { text: mark?.textContent ?? "", tone };
      });
    },
    "the menu": () => {
      const { items } = menuOf(sampleWorld(STATUS));
      return each((name) => {
        const item = everyItem(items).find(
          (one) => one.kind !== "separator" && one.label.startsWith(`${name} — `),
        );
        if (item === undefined || item.kind === "separator") return null;
        return { text: item.label.replace(`${name} — `, ""), tone: item.tone };
      });
    },
    "the fleet": () => {
      const lines = machineLines(sampleMachine({ state: machine }));
      return each((name) => {
        const line = lines.find((one) => one.name === name);
        return line === undefined ? null : { text: withoutTools(line.text), tone: line.tone };
      });
    },
    "mountaineer fleet status": () => {
      const text = renderFleet(fleet, { ...COLOURED, color: false }, { isChosen: true });
      return each((name) => {
        const line = text.split("\n").find((one) => one.includes(` ${name} `));
        const said = line?.slice(line.indexOf(` ${name} `) + name.length + 2);
        return said === undefined ? null : { text: withoutTools(said), tone: null };
      });
    },
  };
}

const WITHOUT_COLOURS: ReadonlySet<string> = new Set([
  "mountaineer status --follow",
  "mountaineer fleet status",
]);

test("F4 sixty states of shares and backends have the same label and tone in every UI", () => {
  const states = [...SHARES, ...BACKENDS];
  assert.equal(states.length, 60);
  const expected = new Map(
    states.map(([, text, tone], at) => [names[at] ?? assert.fail(), { text, tone }] as const),
  );
  // The fleet is not told of what is switched off, and this tells of shares alone.
  const least = { "the fleet": 58, "mountaineer fleet status": 58 } as const;
  const alone = { "mountaineer shares list": 36 } as const;
  const counts: Readonly<Record<string, number>> = { ...least, ...alone };
  for (const [face, look] of Object.entries(told_of())) {
    const said = look();
    assert.equal(said.size, counts[face] ?? 60, face);
    for (const [name, { text, tone }] of said) {
      const right = expected.get(name) ?? assert.fail();
      const expectedTone = WITHOUT_COLOURS.has(face) ? null : right.tone;
      assert.deepEqual({ text, tone }, { text: right.text, tone: expectedTone }, `${face}, ${name}`);
    }
  }
});

test("A13 an empty share is a note in every face, in full and in 90 columns, and no trouble in any", () => {
  const found = { ...SHARE_CONDITIONS.share_empty(), since: secondsAgo(60) };
  const share = sampleShare({ conditions: [found] });
  const status = gatewayReport([], { shares: [share] });
  const app = scriptedApp({}, { status });
  using sharePanel = mount(SharePanel, { app, share, global: status.global, now: SAMPLE_NOW });
  const menu = menuOf(sampleWorld(status));
  const rows = dashboardRows({ status, approvals: null });
  const faces: Readonly<Record<string, string>> = {
    status: renderStatus(status, { ...COLOURED, color: false }),
    why: renderWhy([shareWhy(share)], true, { ...COLOURED, color: false }),
    tui: dashboardLines(rows, null, [], WIDE, SAMPLE_NOW)
      .map((line) => line.map(({ text }) => text).join(""))
      .join("\n"),
    page: sharePanel.elements("article")[0]?.textContent ?? "",
    menu: outline(menu.items).join("\n"),
  };
  for (const [face, text] of Object.entries(faces)) {
    assert.ok(text.includes(found.title), `${face}: ${text}`);
    assert.doesNotMatch(text, /attention/i, face);
  }
  assert.equal(menu.state, "healthy");
  assert.deepEqual(findTroubles(status, null), []);
  assert.deepEqual(pluck(cableText(share), "state"), ["used", "ready"]);
});
