// The largest files that the configuration may be, of every kind; each must be read and edited in bounded time.
import assert from "node:assert/strict";
import test from "node:test";
import { LARGEST_FILE_BYTES } from "../../../src/config/read/source-text.ts";
import { EDITS, edit, load } from "../read/hostile-text.ts";
import { bytes } from "../support.ts";

/** Twenty times and more what was measured, of a mistake whose cost grows with the square still a small part. */
const AT_MOST_MS = 20_000;

const MOST = LARGEST_FILE_BYTES - 8;

function lines(length: number, line: (index: number) => string, most = MOST - 100): string {
  return Array.from({ length: Math.floor(most / length) - 100 }, (_, index) => line(index)).join("\n");
}

const LARGE: readonly (readonly [name: string, text: string])[] = [
  ["nested arrays", `a = ${"[".repeat(MOST - 4)}`],
  ["nested inline tables", `a = ${"{a=".repeat(MOST / 3 - 4)}`],
  ["a long dotted key", `a.${"a.".repeat(MOST / 2 - 8)}a = 1`],
  ["a long dotted header", `[${"a.".repeat(MOST / 2 - 8)}a]`],
  ["many keys", Array.from({ length: MOST / 12 }, (_, index) => `k${index} = 1`).join("\n")],
  ["many broken lines", "a = \n".repeat(MOST / 5)],
  ["many doubled keys", "a = 1\n".repeat(MOST / 6)],
  ["many shares", "[[shares]]\n".repeat(MOST / 11)],
  ["many headers", "[a]\n".repeat(MOST / 4)],
  ["an endless string", `a = "${"x".repeat(MOST - 8)}`],
  ["many escapes", `a = "${"\\u0041".repeat(MOST / 6 - 4)}"`],
  ["nested sequences", "- ".repeat(MOST / 2)],
  ["nested flows", "{a: ".repeat(MOST / 4)],
  ["nested keys", "? ".repeat(MOST / 2)],
  ["quotes", '"'.repeat(MOST)],
  ["anchors", "&a ".repeat(MOST / 3)],
  ["documents", "---\n".repeat(MOST / 4)],
  ["an endless key", "k".repeat(MOST)],
  ["spaces", " ".repeat(MOST)],
  ["dots", ".".repeat(MOST)],
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
  ["an order of nobody", `[conflict_resolution]\norder = [${'"x",'.repeat(MOST / 4 - 20)}]`],
  [
    "an order of many",
    `[conflict_resolution]\norder = [${'"bx",'.repeat(MOST / 16)}]\n${"[backends]\n"}${lines(30, (index) => `b${index}.command = "x"`, MOST / 2)}`,
  ],
  ["many references", `[backends.b]\ncommand = "x"\nenv.A = "${"${X}".repeat(8000)}"`],
  ["many half references", `[backends.b]\ncommand = "x"\nenv.A = "${"$".repeat(MOST - 60)}"`],
  ["many users", "[[incoming_auth.users]]\n".repeat(MOST / 24)],
  ["many policies", "[[authorization.policies]]\n".repeat(MOST / 27)],
  ["aliases", `a: &a [${"1,".repeat(1000)}]\nb: [${"*a,".repeat(MOST / 4)}]`],
];

export function testLargestFiles(file: "config.toml" | "config.yaml"): void {
  for (const [name, text] of LARGE) {
    test(`the largest file of ${name} as ${file} ends in bounded time`, async (t) => {
      const took = await load(bytes(text), file);
      const [asked] = EDITS;
      assert.ok(asked !== undefined);
      const edited = await edit(bytes(text), file, asked);
      t.diagnostic(`read ${took.toFixed(0)} ms, edited ${edited.toFixed(0)} ms`);
      assert.ok(took < AT_MOST_MS && edited < AT_MOST_MS, `${took} and ${edited} ms`);
    });
  }
}
