import assert from "node:assert/strict";
import { test } from "node:test";
import type { Key, KeyName } from "../../../src/tui/terminal/key.ts";
import {
  chosenId,
  EMPTY_LIST,
  filterOf,
  type ListState,
  pressListKey,
  windowStart,
} from "../../../src/tui/terminal/list-state.ts";
import { pressTextKey } from "../../../src/tui/terminal/typed-text.ts";

function named(name: KeyName): Key {
  return { kind: "named", name };
}

function press(state: ListState, ids: readonly number[], ...keys: readonly (Key | string)[]): ListState {
  return keys.reduce<ListState>((now, key) => {
    const pressed: Key = typeof key === "string" ? { kind: "character", text: key } : key;
    return pressListKey(now, pressed, ids) ?? now;
  }, state);
}

const IDS = [9, 8, 7, 6, 5];

test("a list follows the newest until another is chosen, which then stays where it is", () => {
  assert.equal(chosenId(EMPTY_LIST, IDS), 9);
  const moved = press(EMPTY_LIST, IDS, named("down"), "j");
  assert.equal(chosenId(moved, IDS), 7);
  assert.equal(chosenId(moved, [11, 10, ...IDS]), 7);
  assert.equal(chosenId(moved, [11, 10]), 10, "one that is no longer kept gives way to the oldest that is");
  const back = press(moved, IDS, named("home"));
  assert.equal(chosenId(back, [10, ...IDS]), 10);
  assert.equal(chosenId(press(EMPTY_LIST, IDS, named("end")), IDS), 5);
  assert.equal(chosenId(EMPTY_LIST, []), null);
});

test("a filter that is typed takes every key; Enter keeps it, Escape drops it", () => {
  const typing = press(EMPTY_LIST, IDS, "/", "q", "j", " ", "é", named("backspace"));
  assert.equal(typing.filter.text, "qj ");
  assert.ok(typing.isTyping);
  const kept = press(typing, IDS, named("enter"));
  assert.deepEqual([kept.isTyping, kept.filter.text], [false, "qj "]);
  assert.deepEqual(press(typing, IDS, named("escape")), EMPTY_LIST);
  assert.equal(press(kept, IDS, named("escape")).filter.text, "");
  assert.equal(pressListKey(EMPTY_LIST, named("escape"), IDS), null, "there is nothing to leave");
  assert.deepEqual(press(typing, IDS, named("tab"), named("up")), typing);
});

test("details scroll and are left; what has no meaning there is not taken", () => {
  const open = press(EMPTY_LIST, IDS, named("down"), named("enter"), named("down"), "j");
  assert.deepEqual([open.chosen, open.detailsTop], [8, 2]);
  assert.equal(pressListKey(open, { kind: "character", text: "q" }, IDS), null);
  assert.equal(press(open, IDS, named("escape")).detailsTop, null);
  assert.equal(pressListKey(EMPTY_LIST, named("enter"), []), null);
});

test("every word of a filter must be there, in any order and letters of any size", () => {
  const filter = (text: string) => filterOf({ ...EMPTY_LIST, filter: { text, caret: 0 } });
  assert.ok(filter("CORE switched")("share.switched core"));
  assert.ok(!filter("core mounted")("share.switched core"));
  assert.ok(filter("  ")("anything"));
});

test("the window holds the chosen row wherever it is", () => {
  for (const count of [0, 1, 5, 40])
    for (const height of [1, 3, 10])
      for (let at = 0; at < count; at += 1) {
        const start = windowStart(count, height, at);
        assert.ok(start >= 0 && start <= at && at < start + height, `${count} ${height} ${at}`);
      }
});

test("text is edited by whole characters and is bounded", () => {
  const at = (text: string, caret = text.length) => ({ text, caret });
  assert.deepEqual(pressTextKey(at("a😀"), named("backspace")), at("a"));
  assert.deepEqual(pressTextKey(at("a😀", 1), named("delete")), at("a"));
  assert.deepEqual(pressTextKey(at("a😀"), named("left")), at("a😀", 1));
  assert.deepEqual(pressTextKey(at("ab", 1), { kind: "character", text: "x" }), at("axb", 2));
  assert.deepEqual(pressTextKey(at("ab"), named("clear")), at(""));
  assert.equal(pressTextKey(at("ab"), named("enter")), null);
  const full = at("x".repeat(200));
  assert.deepEqual(pressTextKey(full, { kind: "character", text: "y" }), full);
});
