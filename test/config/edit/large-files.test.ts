// Large configurations of every kind: each is read and edited in bounded time. Half the largest that there may be with
// MOUNTAINEER_PROPERTIES=all.
import assert from "node:assert/strict";
import test from "node:test";
import { LARGEST_FILE_BYTES } from "../../../src/config/read/source-text.ts";
import { runsOf } from "../../support/properties.ts";
import { EDITS, edit, load } from "../read/hostile-text.ts";
import { bytes } from "../support.ts";

/** Texts of at most so many bytes. */
function textsOf(most: number): readonly (readonly [name: string, text: string])[] {
  const lines = (length: number, line: (index: number) => string, bytesInAll = most - 100): string =>
    Array.from({ length: Math.floor(bytesInAll / length) - 100 }, (_, index) => line(index)).join("\n");
  return [
    ["nested arrays", `a = ${"[".repeat(most - 4)}`],
    ["nested inline tables", `a = ${"{a=".repeat(most / 3 - 4)}`],
    ["a long dotted key", `a.${"a.".repeat(most / 2 - 8)}a = 1`],
    ["a long dotted header", `[${"a.".repeat(most / 2 - 8)}a]`],
    ["many keys", Array.from({ length: most / 12 }, (_, index) => `k${index} = 1`).join("\n")],
    ["many broken lines", "a = \n".repeat(most / 5)],
    ["many doubled keys", "a = 1\n".repeat(most / 6)],
    ["many shares", "[[shares]]\n".repeat(most / 11)],
    ["many headers", "[a]\n".repeat(most / 4)],
    ["an endless string", `a = "${"x".repeat(most - 8)}`],
    ["many escapes", `a = "${"\\u0041".repeat(most / 6 - 4)}"`],
    ["nested sequences", "- ".repeat(most / 2)],
    ["nested flows", "{a: ".repeat(most / 4)],
    ["nested keys", "? ".repeat(most / 2)],
    ["quotes", '"'.repeat(most)],
    ["anchors", "&a ".repeat(most / 3)],
    ["documents", "---\n".repeat(most / 4)],
    ["an endless key", "k".repeat(most)],
    ["spaces", " ".repeat(most)],
    ["dots", ".".repeat(most)],
    ["many backends", lines(24, (index) => `[backends.b${index}]`)],
    ["many backends in YAML", `backends:\n${lines(28, (index) => `  b${index}: {command: x}`)}`],
    ["many keys that a backend lacks", `[backends.b]\n${lines(14, (index) => `k${index} = 1`)}`],
    [
      "many bad names",
      `[backends.b]\ncommand = "x"\n[backends.b.env]\n${lines(16, (index) => `"-${index}" = ""`)}`,
    ],
    [
      "many variables",
      `[backends.b]\ncommand = "x"\n[backends.b.env]\n${lines(18, (index) => `v${index} = "\${X}"`)}`,
    ],
    [
      "many tools",
      `[backends.b]\ncommand = "x"\n${lines(34, (index) => `tool_overrides.t${index}.name = "x"`)}`,
    ],
    ["an order of nobody", `[conflict_resolution]\norder = [${'"x",'.repeat(most / 4 - 20)}]`],
    [
      "an order of many",
      `[conflict_resolution]\norder = [${'"bx",'.repeat(most / 16)}]\n${"[backends]\n"}${lines(30, (index) => `b${index}.command = "x"`, most / 2)}`,
    ],
    ["many references", `[backends.b]\ncommand = "x"\nenv.A = "${"${X}".repeat(8000)}"`],
    ["many half references", `[backends.b]\ncommand = "x"\nenv.A = "${"$".repeat(most - 60)}"`],
    ["many users", "[[incoming_auth.users]]\n".repeat(most / 24)],
    ["many policies", "[[authorization.policies]]\n".repeat(most / 27)],
    ["aliases", `a: &a [${"1,".repeat(1000)}]\nb: [${"*a,".repeat(most / 4)}]`],
  ];
}

// Twice what the longest need. A mistake whose cost grows with the square needs more, at an eighth of the largest size, too.
const SIZE = Math.ceil(runsOf(LARGEST_FILE_BYTES) / 2);
const AT_MOST_MS = (12_000 * SIZE) / LARGEST_FILE_BYTES;

for (const file of ["config.toml", "config.yaml"])
  for (const [name, text] of textsOf(SIZE - 8)) {
    test(`a large file of ${name} as ${file} ends in bounded time`, async (t) => {
      const took = await load(bytes(text), file);
      const [asked] = EDITS;
      assert.ok(asked !== undefined);
      const edited = await edit(bytes(text), file, asked);
      t.diagnostic(`read ${took.toFixed(0)} ms, edited ${edited.toFixed(0)} ms`);
      assert.ok(took < AT_MOST_MS && edited < AT_MOST_MS, `${took} and ${edited} ms`);
    });
  }
