import assert from "node:assert/strict";
import { test } from "node:test";
import { msText } from "../../../../src/api/words/words.ts";
import { hiddenPlaces } from "../../../../src/web/page/config/hidden-characters.ts";
import { bytesText, clockText, forText, shown, shownLines } from "../../../../src/web/page/parts/text.ts";

test("F2 sizes, times and texts of others are told in words that drive nothing", () => {
  const now = new Date(2026, 0, 5, 14, 32, 5).getTime();
  const at = (ms: number): string => new Date(now - ms).toISOString();
  assert.deepEqual([0, 999, 1000, 12_345, 99_950, 123_456, 5e15].map(bytesText), [
    "0 B",
    "999 B",
    "1.0 kB",
    "12.3 kB",
    "100.0 kB",
    "123 kB",
    "5000 TB",
  ]);
  assert.deepEqual([0, 9.99, 10, 999, 1000, 61_234].map(msText), [
    "0.0 ms",
    "10.0 ms",
    "10 ms",
    "999 ms",
    "1.0 s",
    "61.2 s",
  ]);
  assert.deepEqual(
    [forText(at(300_000), now), forText(at(-1), now), forText(null, now), forText("yesterday", now)],
    ["for 5 min", null, null, null],
  );
  assert.match(clockText(now - 1000, now), /^14:32:04$/);
  assert.match(clockText(now - 86_400_000, now), /4.*14:32:05$/);
  assert.equal(shown("a\tb\r\n\u001b[2J\u202e"), "a b\\x0d \\x1b[2J\\u{202e}");
  assert.equal(shownLines("a\tb\r\n\u001b[2J"), "a\tb\n\\x1b[2J");
});

test("F2 lines with characters that nobody sees are named, the first twenty", () => {
  assert.deepEqual(
    hiddenPlaces("plain\nb\u202ec").map(({ line }) => line),
    [2],
  );
  assert.equal(hiddenPlaces("\u202e\n".repeat(50)).length, 20);
});
