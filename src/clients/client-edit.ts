// Changes the servers in a client's file; every other byte stays. Pure.
import {
  applyEdits,
  createScanner,
  type EditResult,
  findNodeAtLocation,
  modify,
  type Node,
  parse,
  parseTree,
} from "jsonc-parser";
import { editConfig } from "../config/edit/edit.ts";
import type { ConfigEdit } from "../config/edit/edit-meaning.ts";
import type { ConfigTable } from "../config/edit/edit-value.ts";
import type { MountaineerError } from "../runtime/errors.ts";
import type { Client } from "./client.ts";
import { unreadable } from "./client-text.ts";
import { sectionIn } from "./read-files.ts";

const PARSED = { allowTrailingComma: true };
/** The value of the library's `SyntaxKind.CommaToken`. The library has this name as a type only. */
const COMMA = 5;

export interface ClientChange {
  readonly name: string;
  /** null removes the entry. */
  readonly entry: ConfigTable | null;
}

/** The text with the changes made in it, one after the other. An empty text becomes a whole file. */
export async function editedClientText(
  { format, section }: Pick<Client, "format" | "section">,
  text: string,
  changes: readonly ClientChange[],
): Promise<string> {
  if (format !== "json") {
    const { bytes } = await editConfig({
      bytes: Buffer.from(text),
      format,
      edits: tomlEdits(section, changes),
    });
    return Buffer.from(bytes).toString("utf8");
  }
  const mark = text.startsWith("\ufeff") ? "\ufeff" : "";
  let edited = text.slice(mark.length);
  if (edited.trim() === "") edited = "{}\n";
  const at = sectionIn(parse(edited, [], PARSED), section);
  requireOne(edited, at);
  for (const { name, entry } of changes) {
    const path = [...at, name];
    edited = applyEdits(edited, entry === null ? removal(edited, path) : setting(edited, path, entry));
  }
  return mark + edited;
}

/** Throws if a key on the way to the section is there twice: clients differ in which of the two they read. */
function requireOne(text: string, path: readonly string[]): void {
  let node = parseTree(text, [], PARSED);
  for (const key of path) {
    const members = (node?.children ?? []).filter(({ children }) => children?.[0]?.value === key);
    if (node?.type !== "object" || members.length === 0) return;
    if (members.length > 1) {
      const hint = "put their servers into one of them in an editor first; nothing was changed";
      throw unreadable(`the client's file has ${key} ${members.length} times`, { hint });
    }
    node = members[0]?.children?.[1];
  }
}

/** The edit that sets a value. The library's `modify` would also reformat the neighbours. */
function setting(text: string, path: readonly string[], value: ConfigTable): EditResult {
  const root = parseTree(text, [], PARSED);
  if (root === undefined) throw notAnObject("the client's file");
  const layout = layoutOf(text);
  for (let length = path.length; length > 0; length--) {
    const found = findNodeAtLocation(root, path.slice(0, length));
    if (found !== undefined && length === path.length) {
      const content = valueText(value, indentAt(text, found.parent ?? found), layout);
      return [{ offset: found.offset, length: found.length, content }];
    }
    const inner = path.slice(length).reduceRight<ConfigTable>((nested, key) => ({ [key]: nested }), value);
    if (found !== undefined && found.type !== "object") {
      // Adding a member to a value that is not an object would write its key a second time.
      if (found.type !== "null") throw notAnObject(`${path.slice(0, length).join(".")} in the client's file`);
      const content = valueText(inner, indentAt(text, found), layout);
      return [{ offset: found.offset, length: found.length, content }];
    }
    const outer = length === 1 ? root : findNodeAtLocation(root, path.slice(0, length - 1));
    if (outer?.type !== "object") continue;
    return member(text, outer, path[length - 1] ?? "", inner, layout);
  }
  throw notAnObject("the client's file");
}

function notAnObject(what: string): MountaineerError {
  return unreadable(`${what} is not an object`, { hint: "make it one, {}, if nothing of it is needed" });
}

interface Layout {
  readonly step: string;
  readonly lineEnd: "\n" | "\r\n";
}

function layoutOf(text: string): Layout {
  return {
    step: /^([ \t]+)\S/m.exec(text)?.[1] ?? "  ",
    lineEnd: text.includes("\r\n") ? "\r\n" : "\n",
  };
}

function member(text: string, object: Node, key: string, value: ConfigTable, layout: Layout): EditResult {
  const { lineEnd, step } = layout;
  const last = object.children?.at(-1);
  const indent = last === undefined ? indentAt(text, object) + step : indentAt(text, last);
  const line = `${lineEnd}${indent}${JSON.stringify(key)}: ${valueText(value, indent, layout)}`;
  if (last === undefined) {
    const inside = text.slice(object.offset + 1, object.offset + object.length - 1);
    const close = inside.trim() === "" ? lineEnd + indentAt(text, object) : inside;
    return [{ offset: object.offset + 1, length: inside.length, content: line + close }];
  }
  const end = last.offset + last.length;
  const comma = commaAfter(text, end);
  const from = comma ?? end;
  // Puts the new entry after a comment on the last entry's line, so that this comment stays with the last
  // entry.
  const remark = /^[ \t]*(?:\/\/[^\r\n]*|\/\*[^\r\n]*\*\/[ \t]*)?(?=\r?\n)/.exec(text.slice(from));
  return [
    ...(comma === null ? [{ offset: end, length: 0, content: "," }] : []),
    { offset: from + (remark?.[0].length ?? 0), length: 0, content: comma === null ? line : `${line},` },
  ];
}

/** The end of the comma after `offset`, past white space and comments; null: the next token is not a comma. */
function commaAfter(text: string, offset: number): number | null {
  const scanner = createScanner(text, true);
  scanner.setPosition(offset);
  return scanner.scan() === COMMA ? scanner.getTokenOffset() + scanner.getTokenLength() : null;
}

function indentAt(text: string, { offset }: Node): string {
  const line = text.slice(text.lastIndexOf("\n", offset - 1) + 1);
  return /^[ \t]*/.exec(line)?.[0] ?? "";
}

function valueText(value: ConfigTable, indent: string, { step, lineEnd }: Layout): string {
  return JSON.stringify(value, null, step).replaceAll("\n", () => lineEnd + indent);
}

/** Removes an entry, and each line that contains nothing else. */
function removal(text: string, path: string[]): EditResult {
  const root = parseTree(text, [], PARSED);
  const entry = root === undefined ? undefined : findNodeAtLocation(root, path)?.parent;
  if (entry === undefined) return [];
  const end = entry.offset + entry.length;
  const comma = /^[ \t]*,/.exec(text.slice(end));
  if (comma === null) {
    // If no other entry is left, the trailing comma must also go. After another entry, a trailing comma may stay.
    const after = entry.parent?.children?.length === 1 ? commaAfter(text, end) : null;
    const trailing = after === null ? [] : [{ offset: after - 1, length: 1, content: "" }];
    return [...modify(text, path, undefined, {}), ...trailing];
  }
  const lineStart = text.lastIndexOf("\n", entry.offset) + 1;
  const rest = /^[ \t]*\r?\n/.exec(text.slice(end + comma[0].length));
  const isOnLine = rest !== null && text.slice(lineStart, entry.offset).trim() === "";
  const from = isOnLine ? lineStart : entry.offset;
  const to = end + comma[0].length + (isOnLine ? rest[0].length : 0);
  return [{ offset: from, length: to - from, content: "" }];
}

/** Sets a table key by key. A table that is set as one value would be written on one line. */
function tomlEdits(section: readonly string[], changes: readonly ClientChange[]): ConfigEdit[] {
  return changes.flatMap(({ name, entry }): ConfigEdit[] => {
    const path = [...section, name];
    if (entry === null) return [{ kind: "unset", keyPath: path }];
    return Object.entries(entry).map(([key, value]) => ({ kind: "set", keyPath: [...path, key], value }));
  });
}
