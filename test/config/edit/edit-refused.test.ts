// Edits that are refused, and the words for it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { editConfig } from "../../../src/config/edit/edit.ts";
import type { ConfigEdit } from "../../../src/config/edit/edit-meaning.ts";
import type { ConfigFormat } from "../../../src/config/snapshot.ts";
import { type ErrorCode, MountaineerError } from "../../../src/runtime/errors.ts";
import { edited, POLL, remove, set, unset } from "./edit-table.ts";

async function refusal(
  format: ConfigFormat,
  text: string,
  ...edits: ConfigEdit[]
): Promise<MountaineerError> {
  try {
    const after = await edited(format, text, ...edits);
    throw new assert.AssertionError({ message: `not refused:\n${after}` });
  } catch (error) {
    if (error instanceof MountaineerError) return error;
    throw error;
  }
}

describe("B9 what cannot be changed alone is not changed at all", () => {
  const rows: readonly [string, ConfigFormat, string, ConfigEdit, RegExp, ErrorCode?][] = [
    ["a value that others take by alias", "yaml", "x: &p 2\ny: *p\n", set(["x"], 3), /`y` would not/],
    [
      "a share that others are merged from",
      "yaml",
      "shares:\n  - &a {name: A, d: 1}\n  - {<<: *a, name: B}\n",
      set(["shares", "A", "d"], 2),
      /`shares\[1\]\.d` would not/,
    ],
    ["what an alias stands for", "yaml", "x: &x {a: 1}\nsync: *x\n", set(["sync", "b"], 3), /alias/],
    [
      "a key that comes by `<<`",
      "yaml",
      "x: &x {a: 1}\nsync:\n  <<: *x\n",
      unset("sync", "a"),
      /another place/,
    ],
    [
      "an anchor that is used",
      "yaml",
      "shares:\n  - &a {name: A}\n  - {<<: *a, name: B}\n",
      remove("A"),
      /read any more/,
    ],
    ["a section set to a value", "toml", "[sync]\nx = 1\n", set(["sync"], 3), /is a table/],
    ["a key below what is no table", "toml", "sync = 1\n", set(["sync", "x"], 3), /no table/],
    [
      "an unknown share",
      "toml",
      '[[shares]]\nname = "CORE"\n',
      set(["shares", "COR", "x"], 3),
      /COR/,
      "share_unknown",
    ],
    [
      "an unknown index",
      "toml",
      '[[shares]]\nname = "CORE"\n',
      set(["shares", 1, "x"], 3),
      /shares\[1\]/,
      "share_unknown",
    ],
    [
      "a name that two shares have",
      "toml",
      '[[shares]]\nname = "A"\n[[shares]]\nname = "a"\n',
      remove("A"),
      /two shares/,
    ],
    ["a file with mistakes of syntax", "toml", "[sync]\nx =\n", set(POLL, 1), /2:4/, "config_invalid"],
    ["a file with mistakes of syntax", "yaml", "sync: [\n", set(POLL, 1), /at \d+:\d+/, "config_invalid"],
    ["a file in two documents", "yaml", "sync:\n---\n", set(POLL, 1), /second document/, "config_invalid"],
    ["half a character", "toml", "", set(["global", "x"], "\ud800"), /half a character/, "usage"],
    ["NUL", "toml", "", set(["global", "x"], "\0"), /NUL/, "usage"],
  ];
  for (const [title, format, text, edit, message, code = "config_uneditable"] of rows) {
    it(`${title} (${format})`, async () => {
      const error = await refusal(format, text, edit);
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
    });
  }

  it("bytes that are no text", async () => {
    const edits = [set(POLL, 1)];
    const request = { bytes: new Uint8Array([0x61, 0xff]), format: "toml", edits } as const;
    await assert.rejects(editConfig(request), { code: "config_invalid" });
  });

  it("an unknown share is answered with the one that was meant", async () => {
    const error = await refusal("toml", '[[shares]]\nname = "CORE"\n', remove("COER"));
    assert.equal(error.hint, 'did you mean "CORE"?');
  });
});
