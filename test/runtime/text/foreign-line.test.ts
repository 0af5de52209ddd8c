// What a server, a program or a name brings is one bounded line that deceives nobody.
import assert from "node:assert/strict";
import { test } from "node:test";
import { foreignLine, shortened } from "../../../src/runtime/text/foreign-line.ts";
import { columns, harmless } from "../../../src/runtime/text/plain-text.ts";
import { fc, runsOf } from "../../support/properties.ts";

test("D3 what drives a terminal, turns text around or is not seen is spelled out, and lines become one", () => {
  assert.equal(foreignLine("  broken\r\n\tat x.ts  ", 100), "broken at x.ts");
  assert.equal(foreignLine("a\u001b[2Jb", 100), "a\\x1b[2Jb");
  assert.equal(foreignLine("exe\u202egpj", 100), "exe\\u{202e}gpj");
  assert.equal(foreignLine("pay\u200bpal", 100), "pay\\u{200b}pal");
});

test("a joiner that shapes letters or a picture stays; one that stands alone, or between Latin letters, is spelled out", () => {
  for (const text of ["👩\u200d💻", "👩🏽\u200d💻", "👁️\u200d🗨️", "می\u200cخواهم", "क्\u200dष"]) {
    assert.equal(harmless(text), text);
    assert.equal(foreignLine(text, 100), text);
  }
  assert.equal(columns("می\u200cخواهم"), columns("میخواهم"));
  assert.equal(harmless("pay\u200dpal\u200c"), "pay\\u{200d}pal\\u{200c}");
  assert.equal(harmless("👩\u200d "), "👩\\u{200d} ");
});

test("it is never longer than asked for, and never cut within a character", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", maxLength: 300 }),
      fc.integer({ min: 1, max: 60 }),
      (text, longest) => {
        const line = foreignLine(text, longest);
        assert.ok(line.length <= longest && line.isWellFormed());
        assert.doesNotMatch(line, /[\p{Cc}\u202a-\u202e\u2066-\u2069\u200b]/u);
      },
    ),
    { numRuns: runsOf(100) },
  );
  assert.equal(foreignLine("x".repeat(1_000_000), 300), `${"x".repeat(299)}…`);
  assert.equal(shortened("ab", 2), "ab");
  assert.ok(shortened("😀😀😀", 2).isWellFormed());
});
