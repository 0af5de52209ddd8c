import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { unseenText, withoutUnseen } from "../../../src/runtime/text/unseen-characters.ts";
import { fc } from "../../support/properties.ts";

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

describe("unseen characters", () => {
  for (const [what, text] of Object.entries(STAYS)) {
    test(`E3 stays as it is: ${what}`, () => {
      assert.equal(withoutUnseen(text), text);
      assert.equal(unseenText(text), null);
    });
  }

  for (const [what, text, without, told] of GOES) {
    test(`E3 is taken out and told: ${what}`, () => {
      assert.equal(withoutUnseen(text), without);
      assert.equal(unseenText(text), told);
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
        assert.equal(withoutUnseen(text), text);
      }),
    );
  });

  test("E3 what is left needs no second look, has all that is visible in order, and nothing more to tell of", () => {
    const shapes = (text: string): string =>
      text.replace(/[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/gu, "");
    fc.assert(
      fc.property(mixed, (text) => {
        const left = withoutUnseen(text);
        assert.equal(withoutUnseen(left), left);
        assert.equal(unseenText(left), null);
        assert.equal(shapes(left), shapes(text));
        assert.equal(left === text, unseenText(text) === null);
      }),
    );
  });

  test("E3 between Latin letters and spaces none of them stays but a soft hyphen", () => {
    const latin = fc.array(fc.oneof(fc.constantFrom("a", "é", "Z", " ", "."), unseen), { maxLength: 30 });
    fc.assert(
      fc.property(latin, (parts) => {
        const left = withoutUnseen(parts.join("")).replaceAll("\u00ad", "");
        assert.match(left, /^[aéZ .]*$/u);
      }),
    );
  });
});
