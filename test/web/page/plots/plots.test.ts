import assert from "node:assert/strict";
import { test } from "node:test";
import type { NumbersReport, Series } from "../../../../src/api/contract/numbers.ts";
import { pointText } from "../../../../src/web/page/plots/plotted.ts";
import { plottedOf } from "../../../../src/web/page/plots/series-plots.ts";
import { Strip } from "../../../../src/web/page/plots/strip.ts";
import { mount } from "../tiny-dom.ts";

const START = new Date(2026, 0, 5, 3).getTime();
const iso = (slot: number): string => new Date(START + slot * 300_000).toISOString();

/** Six slots of five minutes; of the first two and the last one nothing is known. */
const series = (changes: Partial<Series>): Series => ({
  ...{ from: iso(0), to: iso(6), step_s: 300, impact: [null, null, "fine", "waited", "fine", null] },
  ...{ route: [], read_mb_s: [], written_mb_s: [], calls: [], errors: [], p50_ms: [], p99_ms: [], marks: [] },
  ...changes,
});

const SHARE = series({
  route: [null, null, "tb", "fallback", "fallback", null],
  read_mb_s: [null, null, 104.2, 0, 12, null],
  written_mb_s: [null, null, 0.5, 0, 0, null],
  marks: [
    { at: iso(3), kind: "moved_to_fallback", count: 1 },
    { at: iso(3), kind: "waited", count: 2 },
  ],
});

const texts = (from: Series, kind: "share" | "server"): readonly string[] => {
  const plotted = plottedOf(from, kind, "thunderbolt");
  return plotted.times.map((_time, index) => pointText(plotted, index, START));
};

test("F4 a plot has the whole span, and what is not known is a gap, not zero", () => {
  const plotted = plottedOf(SHARE, "share", "thunderbolt");
  assert.deepEqual([plotted.fromMs, plotted.toMs, plotted.times.length], [START, START + 6 * 300_000, 6]);
  assert.deepEqual(plotted.canvases[0]?.lines[0]?.values, [null, null, 104.2, 0, 12, null]);
  assert.deepEqual(
    plotted.bands.map(({ fromMs, toMs, ink }) => [(fromMs - START) / 300_000, (toMs - START) / 300_000, ink]),
    [
      [2, 3, "good"],
      [3, 5, "warning"],
    ],
  );
});

test("F4 each point is read out with its time, route, events and values", () => {
  assert.deepEqual(texts(SHARE, "share"), [
    "03:00: not known",
    "03:05: not known",
    "03:10: over Thunderbolt, 104 MB/s read, 0.5 MB/s written",
    "03:15: over Fallback, moved to Fallback, programs waited 2 times, 0 MB/s read, 0 MB/s written",
    "03:20: over Fallback, 12 MB/s read, 0 MB/s written",
    "03:25: not known",
  ]);
  const server = series({
    ...{ calls: [null, null, 12, 0, 1, null], errors: [null, null, 1, 0, 0, null] },
    ...{ p50_ms: [null, null, 3.2, null, 9, null], p99_ms: [null, null, 1200, null, 9, null] },
    marks: [{ at: iso(4), kind: "failed", count: 1 }],
  });
  assert.deepEqual(texts(server, "server").slice(2, 5), [
    "03:10: 12 calls, 1 failed, typical 3.2 ms, 99 % within 1.2 s",
    "03:15: 0 calls",
    "03:20: ended by a failure, 1 call, typical 9.0 ms, 99 % within 9.0 ms",
  ]);
});

test("F4 a strip is 24 h wide, however little of them is known, and says what it shows", () => {
  const at = (hour: number): string => new Date(START + hour * 3_600_000).toISOString();
  const day: NumbersReport["shares"][number]["day"] = [
    { from: at(0), to: at(18), impact: "unknown" },
    { from: at(18), to: at(23), impact: "fine" },
    { from: at(23), to: at(24), impact: "failed" },
  ];
  using view = mount(Strip, { name: "CORE", day, to: at(24) });
  const [strip] = view.elements("svg");
  assert.match(
    strip?.getAttribute("aria-label") ?? "",
    /^CORE in the last 24 h: Not known.* 18 h, Fine 5 h, Programs failed 1 h$/,
  );
  const boxes = view.elements("rect").map((each) => [each.getAttribute("class"), each.getAttribute("x")]);
  assert.deepEqual(boxes, [
    ["ink sunk", "0"],
    ["ink good", "750"],
    ["ink bad", String((1000 * 23) / 24)],
  ]);
});
