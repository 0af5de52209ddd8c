import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hiddenPlaces } from "../../../../src/web/page/config/hidden-characters.ts";
import { offsetOf, placeOf } from "../../../../src/web/page/config/place.ts";

test("an offset's place leads back to it, whatever the characters", () => {
  const text = fc.array(fc.constantFrom("a", "\n", "é", "😀", " ")).map((parts) => parts.join(""));
  fc.assert(
    fc.property(text, fc.nat(100), (written, wish) => {
      const whole = [...written].slice(0, wish).join("").length;
      const { line, column } = placeOf(written, whole);
      assert.equal(offsetOf(written, line, column), whole);
    }),
  );
});

test("a place beyond the text is its end", () => {
  assert.equal(offsetOf("ab\ncd", 9, 9), 5);
  assert.equal(offsetOf("ab\ncd", 2, 99), 5);
});

test("E3 characters that nobody sees are found in the editor's text, line by line", () => {
  assert.deepEqual(hiddenPlaces("plain\nurl = 1\n"), []);
  const [found] = hiddenPlaces("plain\nurl = \u202egpj\n");
  assert.deepEqual(found, { line: 2, column: 1, text: "1 unseen character (U+202E)" });
  assert.equal(hiddenPlaces("\u202e\n".repeat(100)).length, 20);
});
