import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileGlobs } from "../../../src/gateway/catalog/glob.ts";
import { fc } from "../../support/properties.ts";

const CASES: readonly (readonly [glob: string, matching: readonly string[], others: readonly string[]])[] = [
  ["*", ["", "a", "a/b\n"], []],
  ["", [""], ["a"]],
  ["read", ["read"], ["reader", "rea", "Read"]],
  ["read_*", ["read_", "read_file", "read_a/b"], ["read", "xread_"]],
  ["*_file", ["_file", "read_file"], ["read_files"]],
  ["file:///*/x", ["file:///a/x", "file:///a/b/x"], ["file:///x"]],
  ["a*b*c", ["abc", "aXbYc", "abbcc", "abcbc"], ["acb", "ab"]],
  ["a?c", ["abc", "a/c", "a😀c"], ["ac", "abbc"]],
  ["[abc]x", ["ax", "cx"], ["dx", "x", "abx"]],
  ["[a-c]x", ["bx"], ["dx", "-x"]],
  ["[!a]x", ["bx", "😀x"], ["ax"]],
  ["[^a]x", ["bx"], ["ax"]],
  ["[]a]", ["]", "a"], ["b"]],
  ["[a-]", ["a", "-"], ["b"]],
  ["[\\]]", ["]"], ["\\"]],
  ["[abc", ["[abc"], ["a"]],
  ["\\*", ["*"], ["a", "\\*"]],
  ["a\\", ["a\\"], ["a"]],
  ["\\[a]", ["[a]"], ["a"]],
  ["**", ["", "ab"], []],
  ["😀*", ["😀", "😀a"], ["\ud83d"]],
];

describe("globs", () => {
  for (const [glob, matching, others] of CASES) {
    test(`${JSON.stringify(glob)} matches what it says and nothing else`, () => {
      const matches = compileGlobs([glob]);
      for (const text of matching) assert.ok(matches(text), text);
      for (const text of others) assert.ok(!matches(text), text);
    });
  }

  test("no pattern matches nothing, and of several one is enough", () => {
    assert.equal(compileGlobs([])(""), false);
    const matches = compileGlobs(["a", "b*", "?c"]);
    assert.deepEqual(["a", "bx", "xc", "cx"].map(matches), [true, true, true, false]);
  });

  test("agrees with a plain recursive reading on any pattern and text", () => {
    const alphabet = fc.constantFrom("a", "b", "*", "?", "/", "😀");
    const pattern = fc.array(alphabet, { maxLength: 8 }).map((parts) => parts.join(""));
    const text = fc
      .array(fc.constantFrom("a", "b", "/", "😀"), { maxLength: 10 })
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(pattern, text, (glob, subject) => {
        assert.equal(compileGlobs([glob])(subject), recursively([...glob], [...subject]));
      }),
      { numRuns: 2_000 },
    );
  });

  test("text that is escaped matches itself alone", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (text, other) => {
        const matches = compileGlobs([text.replace(/[\\*?[]/g, "\\$&")]);
        assert.ok(matches(text));
        assert.equal(matches(other), other === text);
      }),
    );
  });

  test("a pattern made to be slow takes no longer than its length times the text's", () => {
    const matches = compileGlobs([`${"*a".repeat(30)}*b`]);
    const startedAt = performance.now();
    assert.equal(matches("a".repeat(20_000)), false);
    // Were earlier stars to give way, too, it would not end.
    assert.ok(performance.now() - startedAt < 20_000);
  });
});

function recursively(glob: readonly string[], text: readonly string[]): boolean {
  const [first, ...rest] = glob;
  if (first === undefined) return text.length === 0;
  if (first === "*") return recursively(rest, text) || (text.length > 0 && recursively(glob, text.slice(1)));
  return text.length > 0 && (first === "?" || first === text[0]) && recursively(rest, text.slice(1));
}
