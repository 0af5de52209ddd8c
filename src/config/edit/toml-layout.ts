// The layout of a TOML text: every key, table header and array element with its path and range.
import type { AST } from "toml-eslint-parser";
import { MountaineerError } from "../../runtime/errors.ts";
import type { KeyPath } from "../values/mistakes.ts";
import type { Bracketed, Span } from "./splice.ts";

type LineContainer = AST.TOMLTopLevelTable | AST.TOMLTable;

/** One `key = value`, on a line or in an inline table. */
export interface TomlEntry {
  readonly path: KeyPath;
  /** The path of the table that contains the entry. The rest of `path` is the entry's key, which may be dotted. */
  readonly base: KeyPath;
  readonly node: AST.TOMLKeyValue;
  readonly container: LineContainer | AST.TOMLInlineTable;
}

export interface TomlTable {
  readonly path: KeyPath;
  readonly node: AST.TOMLTable;
}

interface TomlElement {
  readonly path: KeyPath;
  readonly index: number;
  readonly node: AST.TOMLContentNode;
  readonly array: AST.TOMLArray;
}

export type TomlLayout = Awaited<ReturnType<typeof readLayout>>;

export function samePath(one: KeyPath, other: KeyPath): boolean {
  return one.length === other.length && isWithinPath(one, other);
}

/** True when `inner` is `outer` or below it. */
export function isWithinPath(inner: KeyPath, outer: KeyPath): boolean {
  return inner.length >= outer.length && outer.every((segment, index) => inner[index] === segment);
}

function span(node: { readonly range: readonly [number, number] }): Span {
  return { start: node.range[0], end: node.range[1] };
}

export function bracketed(node: AST.TOMLInlineTable | AST.TOMLArray): Bracketed {
  const isTable = node.type === "TOMLInlineTable";
  const entries = isTable ? node.body.map(span) : node.elements.map(span);
  return { open: node.range[0] + 1, close: node.range[1] - 1, entries, spaced: isTable };
}

/** The offset where a table's last line (a header or an entry) ends, before a comment. */
export function lastOffset(table: AST.TOMLTable): number {
  return table.body.at(-1)?.range[1] ?? table.key.range[1];
}

/** Rejects with `config_uneditable` a text that smol-toml reads and this parser does not. */
export async function readLayout(text: string) {
  const { parseTOML } = await import("toml-eslint-parser");
  const entries: TomlEntry[] = [];
  const tables: TomlTable[] = [];
  const elements: TomlElement[] = [];

  function walkEntry(
    base: KeyPath,
    node: AST.TOMLKeyValue,
    container: LineContainer | AST.TOMLInlineTable,
  ): void {
    const keys = node.key.keys.map((key) => (key.type === "TOMLBare" ? key.name : key.value));
    const path = [...base, ...keys];
    entries.push({ path, base, node, container });
    walkValue(path, node.value);
  }

  function walkValue(path: KeyPath, node: AST.TOMLContentNode): void {
    if (node.type === "TOMLInlineTable") for (const entry of node.body) walkEntry(path, entry, node);
    if (node.type !== "TOMLArray") return;
    for (const [index, element] of node.elements.entries()) {
      elements.push({ path: [...path, index], index, node: element, array: node });
      walkValue([...path, index], element);
    }
  }

  try {
    const [top] = parseTOML(text, { tomlVersion: "1.1" }).body;
    for (const node of top.body) {
      if (node.type === "TOMLKeyValue") {
        walkEntry([], node, top);
        continue;
      }
      tables.push({ path: node.resolvedKey, node });
      for (const entry of node.body) walkEntry(node.resolvedKey, entry, node);
    }
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    throw new MountaineerError("config_uneditable", "the file has TOML that can be read but not edited", {
      cause: error,
    });
  }
  return { entries, tables, elements };
}
