import assert from "node:assert/strict";
import { test } from "node:test";
import { backendStretches, shareStretches } from "../../../../src/web/page/timeline/stretches.ts";

const at = (hour: number): string => new Date(Date.UTC(2026, 0, 1, hour)).toISOString();
const span = (from: number, to: number) => ({ from: at(from), to: at(to) });

test("F2 time without a daemon is a stretch of its own, in words, too", () => {
  const day = { ...span(0, 24), gaps: [span(1, 2), span(6, 12)] };
  const mounted = { state: "mounted", route: "tb" } as const;
  const stretches = shareStretches(
    [
      { ...span(4, 6), ...mounted },
      { ...span(12, 24), ...mounted },
    ],
    day,
  );
  assert.deepEqual(
    stretches.map(({ from, width, tone, text }) => [from * 24, width * 24, tone, text]),
    [
      [4, 2, "good", "mounted over Thunderbolt"],
      [6, 6, "unknown", "unknown"],
      [12, 12, "good", "mounted over Thunderbolt"],
    ],
    "a gap of before it was configured is none of it",
  );
  const [gap, ready] = backendStretches([{ ...span(12, 24), phase: "Ready" }], {
    ...day,
    gaps: [{ from: at(11), to: new Date(Date.parse(at(12)) + 1).toISOString() }],
  });
  assert.deepEqual([gap?.text, ready?.text], ["unknown", "Ready"]);
});
