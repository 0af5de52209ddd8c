import assert from "node:assert/strict";
import { test } from "node:test";
import {
  approvedAs,
  bookValue,
  MOST_PINNED,
  type PinBook,
  type Pinned,
  readBook,
  withinBounds,
} from "../../../src/gateway/pins/pin-book.ts";

const pinned = (text: string, change: Partial<Pinned> = {}): Pinned => ({
  ...approvedAs(undefined, `digest of ${text}`, text),
  ...change,
});
const book = (backends: Readonly<Record<string, Readonly<Record<string, Pinned>>>>): PinBook => ({
  backends: new Map(Object.entries(backends).map(([name, tools]) => [name, new Map(Object.entries(tools))])),
  lost: null,
});

test("E3 a book is read as it was written, names of any kind included", () => {
  const whole: PinBook = {
    backends: new Map([
      [
        "files",
        new Map([
          ["__proto__", pinned("{}")],
          ["b", pinned("x", { told: "d", isListed: false })],
        ]),
      ],
      ["constructor", new Map()],
    ]),
    lost: "the file was changed",
  };
  assert.deepEqual(readBook(JSON.parse(JSON.stringify(bookValue(whole)))), whole);
});

test("E3 what is not a book is none", () => {
  for (const value of [
    "",
    null,
    [],
    {},
    { version: 2, lost: null, backends: [] },
    { version: 1, lost: 5, backends: [] },
    { version: 1, lost: null, backends: {} },
    { version: 1, lost: null, backends: [["a", [["t", "x", null, null, true]]]] },
    { version: 1, lost: null, backends: [["a", [[1, [], null, null, true]]]] },
    { version: 1, lost: null, backends: ["a"] },
  ]) {
    assert.equal(readBook(value), null, JSON.stringify(value));
  }
});

test("E3 a tool keeps its last eight approved versions, and no text that is too long", () => {
  let one: Pinned | undefined;
  for (let version = 0; version < 12; version++) one = approvedAs(one, `d${version}`, `text ${version}`);
  assert.deepEqual(one?.approved, ["d11", "d10", "d9", "d8", "d7", "d6", "d5", "d4"]);
  assert.equal(approvedAs(one, "d9", "text 9").approved.length, 8);
  assert.equal(approvedAs(one, "d", "x".repeat(70_000)).text, null);
});

test("E3 a book has bounds: tools that are gone give way, then texts, then backends that are configured no more", () => {
  const listed = Object.fromEntries(
    Array.from({ length: MOST_PINNED - 1 }, (_, at) => [`t${at}`, pinned("x")]),
  );
  const gone = { old: pinned("x", { isListed: false }), older: pinned("x", { isListed: false }) };
  const full = withinBounds(book({ files: { ...gone, ...listed } }), new Set(["files"]));
  const kept = full.backends.get("files");
  assert.equal(kept?.size, MOST_PINNED);
  assert.deepEqual([kept?.has("old"), kept?.has("older")], [false, true]);

  const large = Object.fromEntries(
    Array.from({ length: 300 }, (_, at) => [`t${at}`, pinned("x".repeat(65_000))]),
  );
  const cut = withinBounds(book({ large }), new Set(["large"])).backends.get("large");
  const texts = [...(cut?.values() ?? [])].filter(({ text }) => text !== null).length;
  assert.ok(texts > 200 && texts < 300, `${texts} texts`);
  assert.equal(cut?.size, 300, "digests stay");

  const former = Object.fromEntries(Array.from({ length: 250 }, (_, at) => [`b${at}`, { t: pinned("x") }]));
  const few = withinBounds(book({ ...former, files: { t: pinned("x") } }), new Set(["files", "b0"]));
  assert.equal(few.backends.size, 202);
  assert.ok(few.backends.has("b0") && few.backends.has("files"));
});

test("E3 G1 a machine that lends ever other backends makes no other one's pins forgotten", () => {
  const names = ["notes", "files@nas", ...Array.from({ length: 250 }, (_, at) => `b${at}@desktop`)];
  const all = book(Object.fromEntries(names.map((name) => [name, { t: pinned("x") }])));
  const kept = [...withinBounds(all, new Set()).backends.keys()];
  assert.equal(kept.length, 200);
  assert.deepEqual(kept.slice(0, 3), ["notes", "files@nas", "b52@desktop"]);
});
