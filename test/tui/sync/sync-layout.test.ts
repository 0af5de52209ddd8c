import assert from "node:assert/strict";
import { test } from "node:test";
import { shareHeight } from "../../../src/tui/sync/sync-layout.ts";
import { fc } from "../../support/properties.ts";

test("B8 on the smallest terminal there are the panel, the error's place and two rows of the table", () => {
  const heights = shareHeight(13, {
    status: 2,
    problem: 4,
    rows: 20,
    panel: 6,
    note: 0,
    help: 1,
  });
  assert.deepEqual(heights, {
    status: 2,
    problem: 2,
    table: 3,
    panel: 6,
    note: 0,
    help: 0,
    gap: 0,
  });
});

test("B8 on a large terminal there is all of it", () => {
  const heights = shareHeight(58, {
    status: 1,
    problem: 4,
    rows: 20,
    panel: 6,
    note: 8,
    help: 0,
  });
  assert.deepEqual(heights, {
    status: 1,
    problem: 4,
    table: 21,
    panel: 6,
    note: 8,
    help: 0,
    gap: 1,
  });
});

test("whatever wants room, no more is given than there is", () => {
  const count = fc.integer({ min: 0, max: 40 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 80 }), count, count, count, (height, problem, rows, note) => {
      const parts = { status: 2, problem, rows, panel: 6, note, help: 1 };
      const given = shareHeight(height, parts);
      const sum =
        given.status + given.problem + given.table + given.panel + given.note + given.help + 2 * given.gap;
      assert.ok(sum <= height, `${sum} of ${height}`);
      for (const part of Object.values(given)) assert.ok(part >= 0);
      assert.ok(given.problem <= problem && given.note <= note && given.table <= 21);
    }),
  );
});
