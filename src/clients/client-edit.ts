// Changes the servers in a client's file; every other byte stays. Pure.
import {
  applyEdits,
  type EditResult,
  type FormattingOptions,
  findNodeAtLocation,
  type JSONPath,
  modify,
  parseTree,
} from "jsonc-parser";
import { editConfig } from "../config/edit/edit.ts";
import type { ConfigEdit } from "../config/edit/edit-meaning.ts";
import type { ConfigTable } from "../config/edit/edit-value.ts";
import type { Client } from "./client.ts";

export interface ClientChange {
  readonly name: string;
  /** null takes it out. */
  readonly entry: ConfigTable | null;
}

/** The text with the changes made in it, one after the other. An empty text becomes a whole file. */
export async function editedClientText(
  { format, section }: Pick<Client, "format" | "section">,
  text: string,
  changes: readonly ClientChange[],
): Promise<string> {
  if (format === "toml") {
    const { bytes } = await editConfig({
      bytes: Buffer.from(text),
      format: "toml",
      edits: tomlEdits(section, changes),
    });
    return Buffer.from(bytes).toString("utf8");
  }
  const mark = text.startsWith("\ufeff") ? "\ufeff" : "";
  let edited = text.slice(mark.length);
  if (edited.trim() === "") edited = "{}\n";
  const formattingOptions = formatOf(edited);
  for (const { name, entry } of changes) {
    const path = [...section, name];
    edited = applyEdits(
      edited,
      entry === null ? removal(edited, path) : modify(edited, path, entry, { formattingOptions }),
    );
  }
  return mark + edited;
}

/** Whole lines where an entry has lines of its own, and what stands beside it as it is. */
function removal(text: string, path: JSONPath): EditResult {
  const root = parseTree(text, [], { allowTrailingComma: true });
  const entry = root === undefined ? undefined : findNodeAtLocation(root, path)?.parent;
  if (entry === undefined) return [];
  const end = entry.offset + entry.length;
  const comma = /^[ \t]*,/.exec(text.slice(end));
  if (comma === null || entry.parent?.children?.at(-1) === entry) return modify(text, path, undefined, {});
  const lineStart = text.lastIndexOf("\n", entry.offset) + 1;
  const rest = /^[ \t]*\r?\n/.exec(text.slice(end + comma[0].length));
  const isAlone = rest !== null && text.slice(lineStart, entry.offset).trim() === "";
  const from = isAlone ? lineStart : entry.offset;
  const to = end + comma[0].length + (isAlone ? rest[0].length : 0);
  return [{ offset: from, length: to - from, content: "" }];
}

/** A table is written key by key: as one value, it would stand on one line. */
function tomlEdits(section: readonly string[], changes: readonly ClientChange[]): ConfigEdit[] {
  return changes.flatMap(({ name, entry }): ConfigEdit[] => {
    const path = [...section, name];
    if (entry === null) return [{ kind: "unset", keyPath: path }];
    return Object.entries(entry).map(([key, value]) => ({ kind: "set", keyPath: [...path, key], value }));
  });
}

function formatOf(text: string): FormattingOptions {
  const indent = /^([ \t]+)\S/m.exec(text)?.[1] ?? "  ";
  return {
    insertSpaces: !indent.startsWith("\t"),
    tabSize: indent.startsWith("\t") ? 1 : indent.length,
    eol: text.includes("\r\n") ? "\r\n" : "\n",
  };
}
