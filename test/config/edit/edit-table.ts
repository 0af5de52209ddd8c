// Edits as tables: what stood there, what was asked, what stands there now.
import assert from "node:assert/strict";
import { it } from "node:test";
import { editConfig } from "../../../src/config/edit/edit.ts";
import type { ConfigEdit } from "../../../src/config/edit/edit-meaning.ts";
import type { ConfigValue } from "../../../src/config/edit/edit-value.ts";
import type { ConfigFormat } from "../../../src/config/snapshot.ts";
import type { KeyPath } from "../../../src/config/values/mistakes.ts";
import { bytes } from "../support.ts";

export function set(keyPath: KeyPath, value: ConfigValue): ConfigEdit {
  return { kind: "set", keyPath, value };
}

export function unset(...keyPath: KeyPath): ConfigEdit {
  return { kind: "unset", keyPath };
}

export function add(share: { readonly [key: string]: ConfigValue }): ConfigEdit {
  return { kind: "add", list: "shares", entry: share };
}

export function remove(name: string): ConfigEdit {
  return { kind: "remove", list: "shares", name };
}

export async function edited(format: ConfigFormat, text: string, ...edits: ConfigEdit[]): Promise<string> {
  const result = await editConfig({ bytes: bytes(text), format, edits });
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(result.bytes);
}

/** What a text with a mark `‹what stood there→what stands there now›` was before and is after an edit; without one it stays. */
export function beforeAndAfter(marked: string): readonly [before: string, after: string] {
  const [start = "", change] = marked.split("‹");
  if (change === undefined) return [marked, marked];
  const [changed = "", end = ""] = change.split("›");
  const [from, to] = changed.split("→");
  return [start + from + end, start + to + end];
}

/** The edits make one text of the other, with CRLF and with a byte order mark, too. */
export async function assertEdited(format: ConfigFormat, marked: string, edits: ConfigEdit[]): Promise<void> {
  const [before, after] = beforeAndAfter(marked);
  assert.equal(await edited(format, before, ...edits), after);
  const crlf = (text: string): string => (before === "" ? text : text.replaceAll("\n", "\r\n"));
  assert.equal(await edited(format, crlf(before), ...edits), crlf(after), "with CRLF");
  assert.equal(await edited(format, `\ufeff${before}`, ...edits), `\ufeff${after}`, "with a mark");
}

/** Each text marked as `beforeAndAfter` has it. */
type Row = readonly [title: string, edit: ConfigEdit | ConfigEdit[], marked: string];

export function table(format: ConfigFormat, rows: readonly Row[]): void {
  for (const [title, edits, marked] of rows) it(title, () => assertEdited(format, marked, [edits].flat()));
}

export const POLL: KeyPath = ["sync", "poll_interval"];
