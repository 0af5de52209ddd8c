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
  return { kind: "add-share", share };
}

export function remove(name: string): ConfigEdit {
  return { kind: "remove-share", name };
}

export async function edited(format: ConfigFormat, text: string, ...edits: ConfigEdit[]): Promise<string> {
  const result = await editConfig({ bytes: bytes(text), format, edits });
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(result.bytes);
}

type Row = readonly [title: string, before: string, edit: ConfigEdit | ConfigEdit[], after: string];

export function table(format: ConfigFormat, rows: readonly Row[]): void {
  for (const [title, before, edits, after] of rows) {
    it(title, async () => {
      assert.equal(await edited(format, before, ...[edits].flat()), after);
      const crlf = (text: string): string => (before === "" ? text : text.replaceAll("\n", "\r\n"));
      assert.equal(await edited(format, crlf(before), ...[edits].flat()), crlf(after), "with CRLF");
      assert.equal(
        await edited(format, `\ufeff${before}`, ...[edits].flat()),
        `\ufeff${after}`,
        "with a mark",
      );
    });
  }
}

export const POLL: KeyPath = ["sync", "poll_interval"];
