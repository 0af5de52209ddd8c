import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { hintOf } from "../../../../src/web/page/config/schema-hint.ts";

const SCHEMA: unknown = JSON.parse(
  await readFile(path.resolve(import.meta.dirname, "../../../../docs/config.schema.json"), "utf8"),
);

test("F2 the hint for a key has its type, its default and its documentation", () => {
  const hint = hintOf(SCHEMA, ["sync", "poll_interval"]);
  assert.equal(hint?.key, "sync.poll_interval");
  assert.equal(hint?.type, "number, 0.05 to 3600");
  assert.equal(hint?.defaultText, "2");
  assert.match(hint?.description ?? "", /How often the file is looked at/);
  assert.equal(hintOf(SCHEMA, ["sync", "detection"])?.type, 'one of "mtime", "hash", "inotify"');
});

test("a list's items, and entries with names of their own, have theirs", () => {
  assert.equal(hintOf(SCHEMA, ["shares", "[]", "name"])?.key, "shares[].name");
  assert.equal(hintOf(SCHEMA, ["backends", "anything", "args"])?.type, "list");
  assert.ok(hintOf(SCHEMA, ["sync"])?.keys.includes("debounce"));
  assert.ok(hintOf(SCHEMA, [])?.keys.includes("shares"));
});

test("what is no key has no hint", () => {
  for (const none of [["nonsense"], ["sync", "nonsense"], ["sync", "toString"], ["sync", "enabled", "x"]])
    assert.equal(hintOf(SCHEMA, none), null, none.join("."));
  assert.equal(hintOf(null, ["x"]), null);
});
