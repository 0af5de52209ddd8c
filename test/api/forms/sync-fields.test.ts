import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "smol-toml";
import {
  changedFields,
  DETECTIONS,
  draftEdits,
  draftMistakes,
  draftOf,
  FAILURE_MODES,
  FIELDS,
  NUMBER_LIMITS,
  type NumberField,
  numberMistake,
  settingsOf,
} from "../../../src/api/forms/sync-fields.ts";
import { keyFindings } from "../../../src/config/read/value-findings.ts";
import { SECTIONS } from "../../../src/config/schema/schema.ts";

const SETTINGS = {
  enabled: true,
  poll_interval: 2,
  debounce: 1,
  detection: "mtime",
  on_failure: "backoff",
} as const;
const DRAFT = draftOf(SETTINGS);
const NUMBER_FIELDS: readonly NumberField[] = ["poll_interval", "debounce"];

test("B9 the panel's fields, choices and limits are the schema's", () => {
  const section = SECTIONS.find(({ name }) => name === "sync");
  assert.deepEqual([...(section?.keys ?? [])].sort(), [...FIELDS].sort());
  assert.deepEqual(section?.keyDoc("detection").choices, [...DETECTIONS]);
  assert.deepEqual(section?.keyDoc("on_failure").choices, [...FAILURE_MODES]);
  for (const field of NUMBER_FIELDS) {
    const { min, max } = NUMBER_LIMITS[field];
    for (const value of [min, max, min / 2, max * 1.001, (min + max) / 2, 0, -1, Number.NaN]) {
      const accepted: boolean = section !== undefined && keyFindings(section, field, value).length === 0;
      const mistake = numberMistake(field, String(value));
      assert.equal(mistake === null, accepted, `${field} = ${value}: ${mistake}`);
    }
  }
});

test("B9 what is no number says so", () => {
  assert.equal(numberMistake("debounce", ""), "needs a number");
  assert.equal(numberMistake("debounce", "abc"), "is not a number");
  assert.equal(numberMistake("debounce", "1e1"), "is not a number");
  assert.equal(numberMistake("debounce", "0,5"), "write it with a point");
  assert.equal(numberMistake("debounce", "0"), "must be 0.01 to 60 seconds");
  assert.equal(numberMistake("debounce", "-1"), "must be 0.01 to 60 seconds");
  assert.equal(numberMistake("debounce", " .5 "), null);
  assert.deepEqual(draftMistakes({ ...DRAFT, poll_interval: "x", debounce: "99" }), {
    poll_interval: "is not a number",
    debounce: "must be 0.01 to 60 seconds",
  });
});

test("B9 the same number written another way is no change", () => {
  assert.deepEqual(DRAFT, { ...SETTINGS, poll_interval: "2.0", debounce: "1.0" });
  assert.deepEqual(changedFields({ ...DRAFT, poll_interval: "2", debounce: "1.00" }, SETTINGS), []);
  assert.deepEqual(changedFields({ ...DRAFT, poll_interval: "2x" }, SETTINGS), ["poll_interval"]);
});

test("B9 an edit holds the changed keys alone, as TOML", () => {
  const draft = { ...DRAFT, enabled: false, poll_interval: ".5", detection: "inotify" } as const;
  const edits = draftEdits(draft, SETTINGS);
  assert.deepEqual(edits, [
    { key: "sync.enabled", value: "false" },
    { key: "sync.poll_interval", value: "0.5" },
    { key: "sync.detection", value: '"inotify"' },
  ]);
  for (const { key, value } of edits) {
    const field = key.replace("sync.", "");
    const asked: Readonly<Record<string, unknown>> = { ...settingsOf(draft) };
    assert.deepEqual(parse(`x = ${value}`)["x"], asked[field]);
  }
});

test("B9 a number is written as typed where TOML allows it", () => {
  const written = (typed: string): string | undefined =>
    draftEdits({ ...DRAFT, poll_interval: typed }, SETTINGS)[0]?.value;
  assert.equal(written("3.0"), "3.0");
  assert.equal(written("3"), "3");
  assert.equal(written("0.50"), "0.50");
  assert.equal(written("+3."), "3");
  assert.equal(written("003"), "3");
  assert.equal(written(" 3 "), "3");
});
