// Edits of TOML and YAML files change what was asked and nothing else. Golden texts: what it is about, the edits, the file.
import assert from "node:assert/strict";
import { it } from "node:test";
import { editConfig } from "../../../src/config/edit/edit.ts";
import type { ConfigEdit } from "../../../src/config/edit/edit-meaning.ts";
import { configEdit, splitKey } from "../../../src/config/edit/key-path.ts";
import type { ConfigFormat } from "../../../src/config/snapshot.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { goldenTests } from "../../support/golden.ts";
import { bytes } from "../support.ts";

/** `KEY = JSON` and `KEY unset` as they are, `KEY := TEXT` as a person types it; entries of lists and backends come and go. */
function editOf(words: string): ConfigEdit {
  const [, key = "", sign, rest = ""] = /^(.*?) (:?=|unset$) ?(.*)$/.exec(words) ?? [];
  if (sign === ":=") return configEdit(key, rest);
  if (sign === "=") return { kind: "set", keyPath: splitKey(key), value: JSON.parse(rest) };
  if (sign === "unset") return { kind: "unset", keyPath: splitKey(key) };
  const [, verb, list = "shares", name = "", json = ""] =
    /^(add|remove) (backends )?([^ {]*) ?(.*)$/.exec(words) ?? assert.fail(words);
  if (verb === "remove") return { kind: "remove", list: list === "shares" ? list : "backends", name };
  const entry = JSON.parse(json);
  return name === "" ? { kind: "add", list: "shares", entry } : { kind: "add-backend", name, backend: entry };
}

async function edited(format: ConfigFormat, text: string, edits: ConfigEdit[]): Promise<string> {
  const result = await editConfig({ bytes: bytes(text), format, edits });
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(result.bytes);
}

/** The text after, where what stood there and what stands there now are between marks: `‹before→after›`. */
function marked(before: string, after: string): string {
  if (before === after) return after;
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start++;
  let end = 0;
  while (end < most - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  const middle = (text: string): string => text.slice(start, text.length - end);
  return `${before.slice(0, start)}‹${middle(before)}→${middle(after)}›${before.slice(before.length - end)}`;
}

goldenTests(new URL("edit.golden", import.meta.url), async (input, [format = "toml"]) => {
  assert.ok(format === "toml" || format === "yaml");
  const [, words = "", text = ""] = /^.*?\| (.*?) \| ?([\s\S]*)\n$/.exec(input) ?? assert.fail(input);
  try {
    const edits = words.split(" & ").map(editOf);
    const after = await edited(format, text, edits);
    const crlf = (of: string): string => (text === "" ? of : of.replaceAll("\n", "\r\n"));
    assert.equal(await edited(format, crlf(text), edits), crlf(after), `${input} with CRLF`);
    assert.equal(await edited(format, `\ufeff${text}`, edits), `\ufeff${after}`, `${input} with a mark`);
    return marked(text, after).replaceAll("\n", "⏎");
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    return [error.code, error.message, ...(error.hint === null ? [] : [`(${error.hint})`])].join(": ");
  }
});

it("bytes that are not text are not edited", async () => {
  const edits = [editOf("sync.poll_interval = 1")];
  const request = { bytes: new Uint8Array([0x61, 0xff]), format: "toml", edits } as const;
  await assert.rejects(editConfig(request), { code: "config_invalid" });
});
