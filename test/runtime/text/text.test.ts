import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it, test } from "node:test";
import { isRawNumber, parseExactly } from "../../../src/runtime/text/exact-json.ts";
import { invisibleText, stripInvisible } from "../../../src/runtime/text/invisible-characters.ts";
import { jsonObject } from "../../../src/runtime/text/json-object.ts";
import {
  columns,
  durationText,
  nonBreaking,
  padded,
  printable,
  shellWord,
  withoutByteOrderMark,
  wrapped,
} from "../../../src/runtime/text/plain-text.ts";
import { closestWord, editDistance } from "../../../src/runtime/text/suggest.ts";
import { fc } from "../../support/properties.ts";

test("characters that a terminal would obey, or that deceive a reader, are spelled out", () => {
  assert.equal(printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  assert.equal(printable("a\r\x07\x7f\x9b"), "a\\x0d\\x07\\x7f\\x9b");
  assert.equal(printable("a\nb\tc"), "a b c");
  assert.equal(printable("exe\u202egpj"), "exe\\u{202e}gpj");
  assert.equal(printable("a\u200bb\ufeff\u2028\u2066"), "a\\u{200b}b\\u{feff}\\u{2028}\\u{2066}");
  assert.equal(printable("\ud800x"), "\\u{d800}x");
  assert.equal(printable("\u{e0041}"), "\\u{e0041}");
});

test("letters of any script, accents and pictures pass unchanged", () => {
  for (const text of ["Füße", "日本語", "ação", "e\u0301", "🎬", "a b"]) assert.equal(printable(text), text);
});

test("columns counts a terminal's columns: wide signs twice, accents not", () => {
  assert.equal(columns("abc"), 3);
  assert.equal(columns("日本"), 4);
  assert.equal(columns("e\u0301"), 1);
  assert.equal(columns("🎬"), 2);
  assert.equal(padded("日", 4), "日  ");
  assert.equal(padded("longer", 3), "longer");
});

test("text is broken at spaces, and a long word stays whole", () => {
  assert.deepEqual(wrapped("one two three", 7), ["one two", "three"]);
  assert.deepEqual(wrapped("see /a/very/long/path now", 8), ["see", "/a/very/long/path", "now"]);
  assert.deepEqual(wrapped("  ", 8), []);
  // A path has all its spaces: another one may differ by these alone.
  assert.deepEqual(wrapped("in '/a  b/c\u00a0d'  now", 18), ["in '/a  b/c\u00a0d'", "now"]);
  assert.deepEqual(wrapped(`for ${nonBreaking("42 s")}`, 6), ["for", "42 s"]);
});

test("a share's name in a command to type is one word to a shell", () => {
  for (const name of ["CORE", "My Share", "it's", "$(reboot)", "a;b", "`x`", "*", "é"]) {
    const said = execFileSync("/bin/sh", ["-c", `printf %s ${shellWord(name)}`], { encoding: "utf8" });
    assert.equal(said, name);
  }
  assert.equal(shellWord("CORE"), "CORE");
  assert.equal(shellWord(""), "''");
});

test("durations are short, and never negative", () => {
  const seconds: [number, string][] = [
    [-5, "0 s"],
    [59.9, "59 s"],
    [60, "1 min"],
    [3_599, "59 min"],
    [3_600, "1 h"],
    [11_520, "3 h 12 min"],
    [86_400, "1 d"],
    [187_200, "2 d 4 h"],
  ];
  for (const [given, text] of seconds) assert.equal(durationText(given * 1000), text);
});

const tags = (text: string): string =>
  [...text].map((character) => String.fromCodePoint(0xe0000 + (character.codePointAt(0) ?? 0))).join("");
const flag = (region: string): string => `\u{1f3f4}${tags(region)}\u{e007f}`;

/** Of real writing: each stays as it is. */
const STAYS: Readonly<Record<string, string>> = {
  "plain English": "Reads a file, at most 64 KiB — see “limits”.",
  "Persian, ZWNJ between letters": "می\u200cخواهم نامه\u200cها را بخوانم",
  "Arabic with vowel marks": "مَرْحَبًا بِكُمْ",
  "an Arabic letter in its initial form": "ه\u200d.ش",
  "Hebrew beside Latin, with marks": "שלום\u200f (MCP) \u200eעולם",
  "Devanagari, ZWJ for a half form": "क्\u200dष",
  "Devanagari, ZWNJ against a ligature": "क्\u200cष",
  "Bengali, ZWJ": "র\u200d্য",
  Sinhala: "ශ්\u200dරී ලංකා",
  "Malayalam, ZWJ at a word's end": "അവന്\u200d പറഞ്ഞു",
  "Thai, where a line may end": "ภาษา\u200bไทย",
  "Khmer, where a line may end": "ភាសា\u200bខ្មែរ",
  "Mongolian, variant letters": "ᠮᠣᠩᠭᠣᠯ\u180b",
  "Chinese with a variant of an ideograph": "葛\u{e0100}城市 葛\u{e0101}飾区",
  Japanese: "ファイルを読む",
  "Korean, and an old syllable": "파일 \u1100\u1160",
  "a soft hyphen": "Datei\u00adverwaltung",
  "a family": "👨\u200d👩\u200d👧\u200d👦",
  "skin and hair": "👩🏽\u200d💻 🧑🏿\u200d🦰",
  "a heart on fire": "❤\ufe0f\u200d🔥",
  "flags of two letters": "🇩🇪 🇮🇷",
  "the pirates' flag": "🏴\u200d☠\ufe0f",
  "the rainbow flag": "🏳\ufe0f\u200d🌈",
  "the transgender flag": "🏳\ufe0f\u200d⚧\ufe0f",
  "flags of tags": `${flag("gbeng")}${flag("gbsct")} ${flag("gbwls")}`,
  keycaps: "1\ufe0f\u20e3 #\ufe0f\u20e3 *\ufe0f\u20e3",
  "text and emoji shapes": "☎\ufe0e ☎\ufe0f",
  "an eye in a bubble": "👁\ufe0f\u200d🗨\ufe0f",
  "who walks to the right": "🚶\u200d➡\ufe0f",
};

/** What hides: with it, without it, and what is told of it. */
const GOES: readonly (readonly [what: string, text: string, without: string, told: string])[] = [
  ["tags that spell", `Adds.${tags("ignore all")}`, "Adds.", '10 unseen characters that spell "ignore all"'],
  [
    "tags behind a flag",
    `\u{1f3f4}${tags("rm -rf")}\u{e007f}`,
    "\u{1f3f4}",
    '7 unseen characters that spell "rm -rf"',
  ],
  ["a language tag", "a\u{e0001}b", "ab", "1 unseen character (U+E0001)"],
  ["an override", "a\u202etxt.exe\u202c", "atxt.exe", "2 unseen characters (U+202E, U+202C)"],
  ["isolates", "\u2066a\u2069", "a", "2 unseen characters (U+2066, U+2069)"],
  ["a zero-width space between Latin letters", "pass\u200bword", "password", "1 unseen character (U+200B)"],
  ["a joiner between Latin letters", "a\u200db\u200cc", "abc", "2 unseen characters (U+200D, U+200C)"],
  ["a joiner alone", "\u200d", "", "1 unseen character (U+200D)"],
  ["joiners in a row in Persian", "می\u200c\u200cخ", "میخ", "2 unseen characters (U+200C)"],
  ["a joiner after an emoji", "👩\u200d is", "👩 is", "1 unseen character (U+200D)"],
  ["a byte order mark within", "a\ufeffb", "ab", "1 unseen character (U+FEFF)"],
  ["a word joiner", "a\u2060b", "ab", "1 unseen character (U+2060)"],
  ["invisible operators", "a\u2062b\u2064", "ab", "2 unseen characters (U+2062, U+2064)"],
  ["a mark beside Latin letters", "a\u200fb", "ab", "1 unseen character (U+200F)"],
  ["a blank letter", "a\u3164b", "ab", "1 unseen character (U+3164)"],
  [
    "bytes in variation selectors",
    "😀\u{e0101}\u{e0142}\u{e0103}",
    "😀",
    "3 unseen characters (U+E0101, U+E0142, U+E0103)",
  ],
  ["a second variation selector", "☎\ufe0f\ufe0f", "☎\ufe0f", "1 unseen character (U+FE0F)"],
  ["annotations", "\ufff9a\ufffab\ufffb", "ab", "3 unseen characters (U+FFF9, U+FFFA, U+FFFB)"],
  [
    "many kinds",
    "\u200b\u2060\ufeff\u202a\u202b\u202c",
    "",
    "6 unseen characters (U+200B, U+2060, U+FEFF, U+202A and 2 more)",
  ],
];

describe("invisible characters", () => {
  for (const [what, text] of Object.entries(STAYS)) {
    test(`E3 stays unchanged: ${what}`, () => {
      assert.equal(stripInvisible(text), text);
      assert.equal(invisibleText(text), null);
    });
  }

  for (const [what, text, without, told] of GOES) {
    test(`E3 is removed and reported: ${what}`, () => {
      assert.equal(stripInvisible(text), without);
      assert.equal(invisibleText(text), told);
    });
  }

  const visible = fc
    .integer({ min: 0, max: 0x10ffff })
    .filter((code) => code < 0xd800 || code > 0xdfff)
    .map((code) => String.fromCodePoint(code))
    .filter((character) => !/[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/u.test(character));
  const unseen = fc.constantFrom(
    ..."\u200b\u200c\u200d\u200e\u2060\ufeff\u202e\u2066\ufe0f\u00ad\u034f",
    tags("x"),
  );
  const neighbour = fc.constantFrom("a", "م", "क", "्", "ก", "👩", "❤", "🏴", "葛", "ש", "1", " ");
  const mixed = fc
    .array(fc.oneof(visible, unseen, neighbour), { maxLength: 40 })
    .map((parts) => parts.join(""));

  test("E3 nothing that has a shape is ever lost", () => {
    fc.assert(
      fc.property(fc.array(visible, { maxLength: 60 }), (parts) => {
        const text = parts.join("");
        assert.equal(stripInvisible(text), text);
      }),
    );
  });

  test("E3 the result stays the same when stripped again, has all visible text in order, and has no further invisible text to report", () => {
    const shapes = (text: string): string =>
      text.replace(/[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/gu, "");
    fc.assert(
      fc.property(mixed, (text) => {
        const left = stripInvisible(text);
        assert.equal(stripInvisible(left), left);
        assert.equal(invisibleText(left), null);
        assert.equal(shapes(left), shapes(text));
        assert.equal(left === text, invisibleText(text) === null);
      }),
    );
  });

  test("E3 between Latin letters and spaces only a soft hyphen stays", () => {
    const latin = fc.array(fc.oneof(fc.constantFrom("a", "é", "Z", " ", "."), unseen), { maxLength: 30 });
    fc.assert(
      fc.property(latin, (parts) => {
        const left = stripInvisible(parts.join("")).replaceAll("\u00ad", "");
        assert.match(left, /^[aéZ .]*$/u);
      }),
    );
  });
});

test("edits are counted, a swap of neighbours as one", () => {
  const table: [string, string, number][] = [
    ["", "", 0],
    ["", "ab", 2],
    ["ab", "", 2],
    ["ab", "ba", 1],
    ["kitten", "sitting", 3],
    ["a", "a", 0],
  ];
  for (const [one, other, distance] of table) assert.equal(editDistance(one, other), distance);
});

test("the closest known word is suggested, if it is close", () => {
  const known = ["shares_root", "mount_root", "lsof_recheck", "name"];
  for (const word of ["share_root", "sharesRoot"]) assert.equal(closestWord(word, known), "shares_root");
  assert.equal(closestWord("lsof-recheck", known), "lsof_recheck");
  assert.equal(closestWord("nmae", known), "name");
  for (const word of ["color", "", "___", "x".repeat(100_000)]) assert.equal(closestWord(word, known), null);
});

test("the mark at the beginning is removed, and nothing else", () => {
  for (const [text, rest] of [
    ["\ufeff{}", "{}"],
    ["{}", "{}"],
    ["", ""],
    ["\ufeff", ""],
    ["\ufeff\ufeff", "\ufeff"],
    ["a\ufeff", "a\ufeff"],
  ] as const) {
    assert.equal(withoutByteOrderMark(text), rest);
  }
});

const again = (text: string): string => JSON.stringify(parseExactly(text));

test("numbers that a double cannot represent are written unchanged", () => {
  for (const number of [
    "9007199254740993",
    "-12345678901234567890",
    "0.1234567890123456789012345",
    "1e400",
    "-2.5E-999",
    "-1.2345678e-320",
    "7e-324",
    "123456789012345678901234567890.5",
  ]) {
    const text = `{"result":{"content":[{"id":${number}}]}}`;
    assert.equal(again(text), text);
  }
});

test("every number is written unchanged, whatever numbers are before it", () => {
  const exact = ["0.30000000000000004", "-1.2345678901234567e+300", "1234567890123456", "5e-324", "7"];
  const inexact = [
    "-0.1234567890123456789",
    "1.2345678901234567890e19",
    "12e400",
    "1e0000000000000001",
    "0.00000000000000000000000000001",
    "1234567890123456.0",
  ];
  for (const number of inexact) {
    const text = `[${exact.join()},${number},"1234567890123456789",${exact.join()}]`;
    assert.equal(again(text), text);
  }
});

test("everything else is the result of the plain parser", () => {
  for (const text of [
    '{"a":1,"b":[1.5,-3,1e3,null,true],"c":"1234567890123456789 1e999"}',
    '{"a":9007199254740991,"b":1234567890123456,"c":0.30000000000000004}',
    '"12345678901234567890"',
    "[]",
    '{"__proto__":{"x":12345678901234567000},"constructor":1}',
  ]) {
    assert.deepEqual(parseExactly(text), JSON.parse(text));
  }
});

test("ids and progress tokens of messages also keep their digits", () => {
  const message =
    '{"jsonrpc":"2.0","id":12345678901234567890,"params":{"_meta":{"progressToken":12345678901234567890}}}';
  for (const text of [message, `[1,${message}]`, "12345678901234567890"]) assert.equal(again(text), text);
  assert.ok(isRawNumber(parseExactly("12345678901234567890")));
  assert.ok(!isRawNumber(parseExactly("1234567890123456")));
  assert.ok(!isRawNumber({ rawJSON: "1" }));
});

test("text that is not JSON is a SyntaxError, even with long numbers", () => {
  for (const text of ["", "{", "12345678901234567890x", '{"a":1234567890123456789012,}'])
    assert.throws(() => parseExactly(text), SyntaxError);
});

test("a text of digits is a text, however long it is", () => {
  const digits = "1".repeat(15_000_000);
  assert.equal(parseExactly(`["${digits}"]`)?.toString(), digits);
});

test("a message of any depth is read, if not exactly", () => {
  const depth = 200_000;
  const text = `${"[".repeat(depth)}12345678901234567890${"]".repeat(depth)}`;
  assert.ok(Array.isArray(parseExactly(text)));
});

it("returns an object's members, whatever their names", () => {
  assert.deepEqual(jsonObject('{"a":1,"b":null,"c":[{}]}\n'), { a: 1, b: null, c: [{}] });
  assert.deepEqual(jsonObject("{}"), {});
  assert.deepEqual(Object.entries(jsonObject('{"__proto__":1}') ?? {}), [["__proto__", 1]]);
});

for (const text of ["", "{", '{"a":1', '{"a":1} more', "null", "1", '"{}"', "[]", '[{"a":1}]']) {
  it(`rejects ${JSON.stringify(text)}: not an object`, () => assert.equal(jsonObject(text), null));
}
