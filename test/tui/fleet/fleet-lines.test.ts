import assert from "node:assert/strict";
import { test } from "node:test";
import type { FleetMachine } from "../../../src/api/contract/fleet.ts";
import { fleetSummary, troubledFirst } from "../../../src/api/words/fleet-words.ts";
import { detailLines, fleetLines, noFleetLines } from "../../../src/tui/fleet/fleet-lines.ts";
import { lineColumns } from "../../../src/tui/terminal/line.ts";
import { EMPTY_LIST, type ListState } from "../../../src/tui/terminal/list-state.ts";
import { READY, sampleFleet, sampleMachine, sampleMachineState } from "../../api/sample-fleet.ts";
import { textOf, viewOf } from "../views.ts";

interface Shown {
  readonly width?: number;
  readonly height?: number;
  readonly chosen?: number;
  readonly list?: ListState<string>;
}

function linesOf(
  machines: readonly FleetMachine[],
  { width = 80, height = 22, chosen = 0, list = EMPTY_LIST }: Shown = {},
) {
  const report = sampleFleet({ machines: [...machines] });
  const shown = { report, summary: fleetSummary(report), machines: troubledFirst(machines), chosen, list };
  return fleetLines(shown, { ...viewOf(width), height });
}

test("G1 the Fleet screen: the fleet in a sentence, its machines, and all of the chosen one", () => {
  const lines = textOf(linesOf(sampleFleet().machines, { chosen: 1 }));
  assert.deepEqual(lines, [
    "4 machines: 2 here, 1 silent, 1 unreadable; trouble on 2",
    "  ● laptop         this machine  1 share, 1 backend, 12 tools",
    "▸ ✕ nas            silent        ✕ CORE not mounted: no host answers",
    "  ▲ phone          unreadable    ▲ it is not a JSON object",
    "  ● desktop        here          1 share, 1 backend, 12 tools",
    "",
    "nas  ✕ silent, last heard from 1 min ago  Mountaineer 0.1.0",
    "  ▲ state.json cannot be written",
    "  share     CORE not mounted: no host answers",
    "  backend   files Ready, 12 tools",
    "  and 2 more, too many to tell",
  ]);
});

test("G1 a thousand machines are a window with the chosen one in it, at every size that the view takes", () => {
  const machines = Array.from({ length: 1_000 }, (_, index) =>
    sampleMachine({ name: `m${String(index).padStart(3, "0")}`, own: index === 0 }),
  );
  for (const [width, height] of [
    [60, 13],
    [80, 22],
    [200, 60],
  ] as const) {
    for (const chosen of [0, 500, 999]) {
      const drawn = linesOf(machines, { width, height, chosen });
      assert.ok(drawn.length <= height, `${drawn.length} lines of ${height}`);
      assert.ok(drawn.every((line) => lineColumns(line) <= width));
      const text = textOf(drawn);
      const name = `m${String(chosen).padStart(3, "0")}`;
      assert.ok(text.some((line) => line.startsWith(`▸ ● ${name}`)));
      assert.ok(
        text.some((line) => line.startsWith(name)),
        "its details are below",
      );
    }
  }
});

test("G1 what has no room is opened by Enter, and scrolled", () => {
  const backends = Array.from({ length: 40 }, (_, index) => ({
    name: `b${index}`,
    phase: "Ready",
    tools: 1,
    reason: null,
    words: READY,
  }));
  const machines = [sampleMachine({ state: sampleMachineState({ backends }) })];
  const closed = textOf(linesOf(machines));
  assert.match(closed.at(-1) ?? "", /… \d+ more lines: Enter shows all/);
  const opened = textOf(linesOf(machines, { list: { ...EMPTY_LIST, details: { top: 1_000 } } }));
  assert.equal(opened.at(-1), "  backend   b39 Ready, 1 tool");
});

test("G1 who is alone, and who is in no fleet, is told what to type, at 60 columns too", () => {
  const alone = textOf(linesOf([sampleMachine({ own: true })])).join("\n");
  assert.match(alone, /No other machine is known yet\.\n {2}mountaineer fleet invite {2}lets/);
  for (const width of [60, 80]) {
    const lines = noFleetLines({ ...viewOf(width), height: 20 });
    assert.ok(lines.every((line) => lineColumns(line) <= width));
    const text = textOf(lines).join("\n");
    assert.match(
      text,
      /This machine is in no fleet\.[\s\S]*mountaineer fleet init[\s\S]*mountaineer fleet join CODE/,
    );
  }
});

test("G1 what other machines write drives no terminal", () => {
  const evil = "\u001b[2J\u202e\n";
  const state = sampleMachineState({
    version: evil,
    shares: [{ name: evil, phase: evil, route: evil, reason: evil, words: { text: evil, tone: "bad" } }],
    backends: [{ name: evil, phase: evil, tools: 1, reason: evil, words: { text: evil, tone: "bad" } }],
    conditions: [{ code: evil, severity: "error", title: evil }],
  });
  const machine = sampleMachine({ name: evil, problem: evil, state });
  const text = textOf([...linesOf([machine]), ...detailLines(machine, viewOf(80))]).join("");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  assert.ok(!/[\u001b\u202e\n]/.test(text));
});
