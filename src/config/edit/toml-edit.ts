// Proposes one change in a TOML text as ranges to replace. editConfig accepts a proposal if the changed text has the
// intended meaning.
import { MountaineerError } from "../../runtime/errors.ts";
import type { KeyPath } from "../values/mistakes.ts";
import type { EditStep } from "./edit-meaning.ts";
import { type ConfigTable, type ConfigValue, keyName } from "./edit-value.ts";
import {
  addEntry,
  indentation,
  isBlank,
  lineEnd,
  lineStart,
  linesAfter,
  linesAtEnd,
  mergeRemovals,
  removeEntry,
  type Splice,
  wholeLines,
} from "./splice.ts";
import {
  bracketed,
  isWithinPath,
  lastOffset,
  readLayout,
  samePath,
  type TomlEntry,
  type TomlLayout,
  type TomlTable,
} from "./toml-layout.ts";
import { tomlDottedKey, tomlLines, tomlValue } from "./toml-value.ts";

/**
 * Returns the text between key and value in the style of the neighbouring entry. Alignment by many spaces is not
 * copied.
 */
function assignment(text: string, sibling: TomlEntry | undefined): string {
  if (sibling === undefined) return " = ";
  const between = text.slice(sibling.node.key.range[1], sibling.node.value.range[0]);
  return between === "=" ? "=" : " = ";
}

function entryAfter(text: string, sibling: TomlEntry, key: KeyPath, value: ConfigValue): Splice {
  const { range } = sibling.node;
  const line = `${indentation(text, range[0])}${tomlDottedKey(key)}${assignment(text, sibling)}${tomlValue(value)}`;
  return linesAfter(text, range[1], [line]);
}

function entryInTable(
  text: string,
  layout: TomlLayout,
  table: TomlTable,
  key: KeyPath,
  value: ConfigValue,
): Splice {
  const sibling = layout.entries.findLast(({ container }) => container === table.node);
  if (sibling !== undefined) return entryAfter(text, sibling, key, value);
  const line = `${indentation(text, table.node.range[0])}${tomlDottedKey(key)} = ${tomlValue(value)}`;
  return linesAfter(text, table.node.key.range[1], [line]);
}

function inlineTableAt({ entries, elements }: TomlLayout, path: KeyPath) {
  const found =
    entries.find((entry) => samePath(entry.path, path))?.node.value ??
    elements.find((element) => samePath(element.path, path))?.node;
  return found?.type === "TOMLInlineTable" ? found : null;
}

/** Comment lines right below a block belong to it, unless a header follows directly. */
function afterComments(text: string, offset: number): number {
  let at = offset;
  for (;;) {
    const next = lineEnd(text, at);
    const line = text.slice(next, lineEnd(text, next));
    if (/^[ \t]*#/.test(line)) at = next;
    else return line === "" || isBlank(line) ? at : offset;
  }
}

/**
 * A new table goes below the existing tables that are nearest to it: those of its backend, for example, else those of
 * all backends. If there are none, it goes to the end of the file.
 */
function newBlock(text: string, layout: TomlLayout, path: KeyPath, lines: readonly string[]): Splice {
  for (let length = path.length - 1; length > 0; length -= 1) {
    const last = layout.tables.findLast((table) => isWithinPath(table.path, path.slice(0, length)));
    if (last === undefined) continue;
    const offset = afterComments(text, lastOffset(last.node));
    const next = text.slice(lineEnd(text, offset), lineEnd(text, lineEnd(text, offset)));
    const apart = next !== "" && !isBlank(next) ? [""] : [];
    return linesAfter(text, offset, ["", ...lines, ...apart]);
  }
  return linesAtEnd(text, lines, true);
}

/** A new key goes into the innermost table that exists. */
function insertion(text: string, layout: TomlLayout, path: KeyPath, value: ConfigValue): Splice[] {
  for (let length = path.length - 1; length >= 0; length -= 1) {
    const outer = path.slice(0, length);
    const key = path.slice(length);
    const inline = inlineTableAt(layout, outer);
    if (inline !== null) {
      return addEntry(text, bracketed(inline), `${tomlDottedKey(key)} = ${tomlValue(value)}`);
    }
    const dotted = layout.entries.findLast(
      ({ path: whole, base }) => base.length < length && isWithinPath(whole, outer),
    );
    if (dotted !== undefined && length > 0) {
      const { container, base } = dotted;
      const ownKey = path.slice(base.length);
      if (container.type !== "TOMLInlineTable") return [entryAfter(text, dotted, ownKey, value)];
      return addEntry(text, bracketed(container), `${tomlDottedKey(ownKey)} = ${tomlValue(value)}`);
    }
    const table = layout.tables.find((candidate) => samePath(candidate.path, outer));
    if (table === undefined) continue;
    if (key.length === 1 || outer.some((segment) => typeof segment === "number")) {
      return [entryInTable(text, layout, table, key, value)];
    }
    break;
  }
  const [name] = path.slice(-1);
  if (path.length < 2 || name === undefined) {
    throw new MountaineerError("config_uneditable", `${keyName(path)} is not a key of a section`);
  }
  const lines = [`[${tomlDottedKey(path.slice(0, -1))}]`, `${tomlDottedKey([name])} = ${tomlValue(value)}`];
  return [newBlock(text, layout, path.slice(0, -1), lines)];
}

function setting(text: string, layout: TomlLayout, path: KeyPath, value: ConfigValue): Splice[] {
  const own = layout.entries.find((entry) => samePath(entry.path, path));
  if (own !== undefined) {
    const [start, end] = own.node.value.range;
    return [{ start, end, text: tomlValue(value, text.slice(start, end)) }];
  }
  const isTable = [...layout.entries, ...layout.tables].some((part) => isWithinPath(part.path, path));
  if (isTable) {
    throw new MountaineerError("config_uneditable", `${keyName(path)} is a table`, {
      hint: "set its keys one by one",
    });
  }
  return insertion(text, layout, path, value);
}

function removal(text: string, layout: TomlLayout, path: KeyPath): Splice[] {
  const splices: Splice[] = [];
  const tables = layout.tables.filter((table) => isWithinPath(table.path, path));
  for (const { node } of tables) splices.push(wholeLines(text, node.range[0], lastOffset(node)));
  const element = layout.elements.find((candidate) => samePath(candidate.path, path));
  if (element !== undefined) splices.push(...removeEntry(text, bracketed(element.array), element.index));
  for (const { path: whole, base, node, container } of layout.entries) {
    // Skips entries that stay, and entries of a table that is removed as a whole.
    if (!isWithinPath(whole, path) || isWithinPath(base, path)) continue;
    if (container.type === "TOMLInlineTable") {
      splices.push(...removeEntry(text, bracketed(container), container.body.indexOf(node)));
    } else {
      const start = lineStart(text, node.range[0]);
      splices.push({ start, end: lineEnd(text, node.range[1]), text: "" });
    }
  }
  return mergeRemovals(splices);
}

function appending(text: string, layout: TomlLayout, path: KeyPath, value: ConfigTable): Splice[] {
  const literal = layout.entries.find((entry) => samePath(entry.path, path))?.node.value;
  if (literal?.type === "TOMLArray") return addEntry(text, bracketed(literal), tomlValue(value));
  const header = `[[${tomlDottedKey(path)}]]`;
  const last = layout.tables.findLast((table) => isWithinPath(table.path, path));
  if (last === undefined) return [linesAtEnd(text, [header, ...tomlLines(value)], true)];
  const offset = afterComments(text, lastOffset(last.node));
  const sibling = layout.tables.findLast((table) => table.path.length === path.length + 1);
  const indent = indentation(text, sibling?.node.range[0] ?? 0);
  const [entry] = sibling?.node.body ?? [];
  const inner = entry === undefined ? indent : indentation(text, entry.range[0]);
  const lines = ["", `${indent}${header}`, ...tomlLines(value).map((line) => `${inner}${line}`)];
  const next = text.slice(lineEnd(text, offset), lineEnd(text, lineEnd(text, offset)));
  if (next !== "" && !isBlank(next)) lines.push("");
  return [linesAfter(text, offset, lines)];
}

/**
 * Returns two proposals: the new table as a separate block, and the new table as an inline table, for neighbours that
 * are inline tables.
 */
function addingTable(
  text: string,
  layout: TomlLayout,
  path: KeyPath,
  value: ConfigTable,
): readonly Splice[][] {
  const lines = [`[${tomlDottedKey(path)}]`, ...tomlLines(value)];
  return [[newBlock(text, layout, path, lines)], insertion(text, layout, path, value)];
}

/** The ways to make the change, the best first. Rejects with `config_uneditable` when there is none. */
export async function proposeToml(text: string, step: EditStep): Promise<readonly Splice[][]> {
  const layout = await readLayout(text);
  switch (step.kind) {
    case "set":
      return [setting(text, layout, step.path, step.value)];
    case "remove":
      return [removal(text, layout, step.path)];
    case "append":
      return [appending(text, layout, step.path, step.value)];
    case "add-table":
      return addingTable(text, layout, step.path, step.value);
  }
}
