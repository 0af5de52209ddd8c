import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { keyAt } from "../../../../src/web/page/config/key-at.ts";

const TOML = `# top
check = 1
[sync]
poll_interval = 2.0
[[shares]]
name = "A"
[shares.extra]
deep.key = 1
[backends.files]
args = [
  "one",
  "two",
]
env."A B" = "x"
half
[backends."odd.name"
`;

const YAML = `sync:
  poll_interval: 2
shares:
  - name: A
    driver: local
  - name: B
backends:
  files:
    args:
      - one
      - two
    half
`;

/** The path where the mark stands; the cursor is behind it. */
function at(text: string, mark: string, format: "toml" | "yaml"): string {
  return keyAt(text, text.indexOf(mark) + mark.length, format).join(" ");
}

test("F2 the key at the cursor is told in TOML, half-written lines included", () => {
  const places: readonly (readonly [string, string])[] = [
    ["# top", ""],
    ["check", "check"],
    ["[sync", "sync"],
    ["poll_interval = 2", "sync poll_interval"],
    ['name = "A"', "shares [] name"],
    ["deep.key", "shares [] extra deep key"],
    ['"two"', "backends files args"],
    ["A B", "backends files env A B"],
    ["half", "backends files half"],
    ['"odd.name"', "backends odd.name"],
  ];
  for (const [mark, path] of places) assert.equal(at(TOML, mark, "toml"), path, mark);
});

test("F2 and in YAML", () => {
  const places: readonly (readonly [string, string])[] = [
    ["sync:", "sync"],
    ["poll_interval", "sync poll_interval"],
    ["name: A", "shares [] name"],
    ["driver", "shares [] driver"],
    ["name: B", "shares [] name"],
    ["- two", "backends files args []"],
    ["half", "backends files half"],
  ];
  for (const [mark, path] of places) assert.equal(at(YAML, mark, "yaml"), path, mark);
});

test("no text and no place makes it fail", () => {
  const piece = fc.constantFrom("[", "]", "[[a", "a.b", '"', "=", "\n", "  ", "- ", ": ", "#", "x", "'");
  fc.assert(
    fc.property(
      fc.array(piece),
      fc.nat(80),
      fc.constantFrom("toml" as const, "yaml" as const),
      (pieces, offset, format) => {
        assert.ok(Array.isArray(keyAt(pieces.join(""), offset, format)));
      },
    ),
  );
});
