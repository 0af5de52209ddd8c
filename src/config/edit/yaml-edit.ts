// Proposes one change in a YAML text as ranges to replace. editConfig takes the first proposal whose text has the
// intended meaning.

import type { Node, Pair, YAMLMap, YAMLSeq } from "yaml";
import { MountaineerError } from "../../runtime/errors.ts";
import type { KeyPath } from "../values/mistakes.ts";
import type { EditStep } from "./edit-meaning.ts";
import { type ConfigTable, type ConfigValue, isTableValue, keyName } from "./edit-value.ts";
import {
  addEntry,
  beginsLine,
  isBlank,
  lineEnd,
  lineStart,
  linesAfter,
  linesAtEnd,
  lineTextEnd,
  removeEntry,
  type Splice,
  wholeLines,
} from "./splice.ts";
import {
  blockIndent,
  contentEnd,
  flowEntries,
  hasCommentLines,
  isFlow,
  isUnwritten,
  itemEnd,
  itemStart,
  pairEnd,
  pairStart,
  readYamlLayout,
  separatorEnd,
  walk,
  type YamlLayout,
  type YamlPosition,
} from "./yaml-layout.ts";

type Proposals = readonly Splice[][];

function spaces(count: number): string {
  return " ".repeat(count);
}

function quotesOf({ yaml }: YamlLayout, node: Node): YamlQuotes {
  if (!yaml.isScalar(node)) return null;
  if (node.type === "QUOTE_DOUBLE") return "double";
  if (node.type === "QUOTE_SINGLE") return "single";
  return node.type === "PLAIN" && typeof node.value === "string" ? "plain" : null;
}

function uneditable(path: KeyPath, why: string, hint: string): MountaineerError {
  return new MountaineerError("config_uneditable", `${keyName(path)} ${why}`, { hint });
}

/** The lines of `key:` and of all that is nested below it, in block style: one line for each key. */
function nestedLines(
  indent: number,
  step: number,
  path: KeyPath,
  value: ConfigValue,
  leaf: (value: ConfigValue) => string,
): string[] {
  const [segment, ...rest] = path;
  if (segment === undefined) return [];
  const key = `${spaces(indent)}${yamlKey(segment, false)}:`;
  if (rest.length === 0 && isTableValue(value) && Object.keys(value).length > 0) {
    const inner = Object.entries(value);
    return [key, ...inner.flatMap(([name, part]) => nestedLines(indent + step, step, [name], part, leaf))];
  }
  if (rest.length === 0) return [`${key} ${leaf(value)}`];
  return [key, ...nestedLines(indent + step, step, rest, value, leaf)];
}

function blockLeaf(value: ConfigValue): string {
  return yamlValue(value, null, false);
}

/** The pair for a flow collection: `a: {b: value}`. */
function flowPair(path: KeyPath, value: ConfigValue): string {
  const [segment = "", ...rest] = path;
  const inner = rest.length === 0 ? yamlValue(value, null, true) : `{${flowPair(rest, value)}}`;
  return `${yamlKey(segment, true)}: ${inner}`;
}

function isWrittenNull({ yaml }: YamlLayout, node: Node | null): boolean {
  return yaml.isScalar(node) && node.value === null && !isUnwritten(node);
}

/** Adds lines below a key that has no value. If the value is a null, as in `global: ~`, the lines replace it. */
function linesBelow(
  layout: YamlLayout,
  { node }: YamlPosition,
  pair: Pair,
  lines: readonly string[],
): Proposals {
  const { text } = layout;
  if (isUnwritten(node)) return [[linesAfter(text, separatorEnd(layout, pair), lines)]];
  if (!isWrittenNull(layout, node)) return [];
  const [start, end] = node?.range ?? [0, 0];
  const from = text.slice(0, start).trimEnd().length;
  return [[{ start: from, end, text: "" }, linesAfter(text, end, lines)]];
}

function insertion(layout: YamlLayout, outer: YamlPosition, path: KeyPath, value: ConfigValue): Proposals {
  const { yaml, text, indentStep } = layout;
  const { node, pair, parent } = outer;
  if (yaml.isAlias(node))
    throw uneditable(
      path,
      "is in what an alias stands for",
      "write it out, or change it where the anchor is",
    );
  if (yaml.isMap(node) && isFlow(node))
    return [addEntry(text, flowEntries(layout, node), flowPair(path, value))];
  if (yaml.isMap(node)) {
    const indent = blockIndent(node) ?? 0;
    const lines = nestedLines(indent, indentStep, path, value, blockLeaf);
    const inside = linesAfter(text, contentEnd(layout, node, 0), lines);
    if (parent !== null) return [[inside]];
    return [[linesAtEnd(text, lines, path.length > 1)], [linesAtEnd(text, lines, false)], [inside]];
  }
  if (parent === null) {
    const lines = nestedLines(0, indentStep, path, value, blockLeaf);
    return isUnwritten(node) ? [[linesAtEnd(text, lines, true)]] : [];
  }
  if (pair === null) return [];
  const at = separatorEnd(layout, pair);
  if (outer.inFlow)
    return isUnwritten(node) ? [[{ start: at, end: at, text: ` {${flowPair(path, value)}}` }]] : [];
  const indent = (blockIndent(parent) ?? 0) + indentStep;
  return linesBelow(layout, outer, pair, nestedLines(indent, indentStep, path, value, blockLeaf));
}

function replacement(layout: YamlLayout, position: YamlPosition, value: ConfigValue): Proposals {
  const { yaml, text } = layout;
  const { node, pair, inFlow } = position;
  if (node === null || isUnwritten(node)) {
    if (pair === null) return [];
    const at = separatorEnd(layout, pair);
    const colon = text.slice(pairStart(layout, pair), at).includes(":") ? " " : ": ";
    return [[{ start: at, end: at, text: `${colon}${yamlValue(value, null, inFlow)}` }]];
  }
  const [start, end] = node.range ?? [0, 0];
  const written = yamlValue(value, quotesOf(layout, node), inFlow);
  if (node.srcToken?.type === "block-scalar") {
    const last = contentEnd(layout, node, start);
    const comment =
      /(?<![ \t])[ \t]+#[^\r\n]*/.exec(text.slice(start, last).split("\n", 1)[0] ?? "")?.[0] ?? "";
    return [[{ start, end: lineTextEnd(text, last), text: `${written}${comment}` }]];
  }
  if (yaml.isCollection(node) && !isFlow(node)) {
    if (pair === null) return [];
    const at = separatorEnd(layout, pair);
    const from = lineEnd(text, at);
    const lines = { start: from, end: lineEnd(text, contentEnd(layout, node, at)), text: "" };
    return [[{ start: at, end: at, text: ` ${written}` }, lines]];
  }
  return [[{ start, end, text: written }]];
}

function setting(layout: YamlLayout, path: KeyPath, value: ConfigValue): Proposals {
  const { position, depth } = walk(layout, path);
  if (depth < path.length) return insertion(layout, position, path.slice(depth), value);
  if (layout.yaml.isMap(position.node) && !isFlow(position.node))
    throw uneditable(path, "is a table", "set its keys one by one");
  return replacement(layout, position, value);
}

function pairRemoval(layout: YamlLayout, map: YAMLMap, pair: Pair, isSection: boolean): Proposals {
  const { text } = layout;
  const index = map.items.indexOf(pair);
  if (isFlow(map)) return [removeEntry(text, flowEntries(layout, map), index)];
  const start = pairStart(layout, pair);
  const end = pairEnd(layout, pair);
  if (map.items.length === 1 && !isSection) {
    return [[{ start, end: lineTextEnd(text, end), text: "{}" }]];
  }
  if (beginsLine(text, start))
    return [[{ start: lineStart(text, start), end: lineEnd(text, end), text: "" }]];
  const next = map.items[index + 1];
  if (next === undefined) return [];
  const nextStart = pairStart(layout, next);
  // The next key moves up to the line of the dash, unless there is a comment between them.
  const moved = { start, end: nextStart, text: "" };
  const dash = text.slice(0, start).trimEnd().length;
  const onlyPair = { start: dash, end: lineTextEnd(text, end), text: "" };
  return hasCommentLines(text, end, nextStart) ? [[onlyPair]] : [[moved], [onlyPair]];
}

/**
 * Returns where an item's own comment lines below the item end. These lines are indented deeper than the item's dash.
 */
function afterInnerComments(text: string, offset: number, dashColumn: number): number {
  let inner = offset;
  for (let at = lineEnd(text, offset); at < text.length; at = lineEnd(text, at)) {
    const line = text.slice(at, lineTextEnd(text, at));
    const column = line.search(/[^ \t]/);
    if (line[column] === "#" && column > dashColumn) inner = at;
    else if (column !== -1) break;
  }
  return inner;
}

function itemRemoval(layout: YamlLayout, sequence: YAMLSeq, index: number): Proposals {
  const { text } = layout;
  if (isFlow(sequence)) return [removeEntry(text, flowEntries(layout, sequence), index)];
  const start = itemStart(sequence, index);
  if (start === null || !beginsLine(text, start)) return [];
  const end = afterInnerComments(text, itemEnd(layout, sequence, index), start - lineStart(text, start));
  const plain = { start: lineStart(text, start), end: lineEnd(text, end), text: "" };
  return [[wholeLines(text, start, end)], [plain]];
}

function removal(layout: YamlLayout, path: KeyPath): Proposals {
  const { yaml } = layout;
  const { position, depth } = walk(layout, path);
  const { pair, parent } = position;
  const last = path.at(-1);
  if (depth < path.length) {
    const what = yaml.isAlias(position.node)
      ? "is in what an alias stands for"
      : "comes from another place (`<<`)";
    throw uneditable(path, what, "change it where the anchor is");
  }
  if (yaml.isSeq(parent) && typeof last === "number") return itemRemoval(layout, parent, last);
  if (yaml.isMap(parent) && pair !== null) return pairRemoval(layout, parent, pair, path.length <= 2);
  return [];
}

function itemLines(indent: number, offset: number, value: ConfigTable): string[] {
  const [first = "{}", ...rest] = yamlPairs(value, false);
  const dash = `${spaces(indent)}-${spaces(Math.max(1, offset - 1))}`;
  return [`${dash}${first}`, ...rest.map((line) => `${spaces(dash.length)}${line}`)];
}

function appending(layout: YamlLayout, path: KeyPath, value: ConfigTable): Proposals {
  const { yaml, text, root, indentStep } = layout;
  const { position, depth } = walk(layout, path);
  const { node, pair } = position;
  const [key] = path.slice(-1);
  if (depth < path.length) {
    if (yaml.isMap(root) && isFlow(root)) return insertion(layout, position, path, [value]);
    const lines = [`${yamlKey(key ?? "", false)}:`, ...itemLines(indentStep, 2, value)];
    if (root === null || isUnwritten(root)) return [[linesAtEnd(text, lines, true)]];
    if (!yaml.isMap(root)) return [];
    const inside = linesAfter(text, contentEnd(layout, root, 0), lines);
    return [[linesAtEnd(text, lines, true)], [linesAtEnd(text, lines, false)], [inside]];
  }
  if (yaml.isSeq(node) && isFlow(node)) {
    const entry = `{${yamlPairs(value, true).join(", ")}}`;
    return [addEntry(text, flowEntries(layout, node), entry)];
  }
  if (yaml.isSeq(node)) {
    const indent = blockIndent(node) ?? 0;
    const last = node.items.length - 1;
    const inner = blockIndent(node.items[last]);
    const lines = itemLines(indent, inner === null ? 2 : inner - indent, value);
    const start = itemStart(node, last) ?? 0;
    const above = lineStart(text, start);
    const apart = above > 0 && isBlank(text.slice(lineStart(text, above - 1), above)) ? [""] : [];
    return [[linesAfter(text, itemEnd(layout, node, last), [...apart, ...lines])]];
  }
  if (pair === null || position.inFlow) return [];
  const lines = itemLines((blockIndent(position.parent) ?? 0) + indentStep, 2, value);
  return linesBelow(layout, position, pair, lines);
}

/** The ways to make the change, the best first. Rejects with `config_uneditable` when there is none. */
export async function proposeYaml(text: string, step: EditStep): Promise<Proposals> {
  const layout = await readYamlLayout(text);
  switch (step.kind) {
    case "set":
    case "add-table":
      return setting(layout, step.path, step.value);
    case "remove":
      return removal(layout, step.path);
    case "append":
      return appending(layout, step.path, step.value);
  }
}

/** The quotes of a scalar in the text; null for a new one. */
type YamlQuotes = "plain" | "single" | "double" | null;

// A text is written without quotes only if it consists of harmless characters and neither YAML 1.1 nor 1.2
// could read it as another type: see `isPlain`.
const PLAIN = /^[\p{L}_/~$][\p{L}\p{N}_/~$.:@%+{} -]*$/u;
const SPECIAL_SCALAR = /^(?:~|null|true|false|yes|no|on|off|y|n)$/i;
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\ufeff\ufffe\uffff]/u;

function isPlain(text: string, inFlow: boolean): boolean {
  if (text === "" || SPECIAL_SCALAR.test(text) || /: |:$| $| #/.test(text)) return false;
  if (inFlow && /[{},]/.test(text)) return false;
  return PLAIN.test(text) || /^\d{1,3}(\.\d{1,3}){3}$/.test(text);
}

function doubleQuoted(text: string): string {
  return JSON.stringify(text).replaceAll(
    /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function stringText(text: string, quotes: YamlQuotes, inFlow: boolean): string {
  if (quotes === "single" && !UNPRINTABLE.test(text)) return `'${text.replaceAll("'", "''")}'`;
  if (quotes !== "double" && quotes !== "single" && isPlain(text, inFlow)) return text;
  return doubleQuoted(text);
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return ".nan";
  if (!Number.isFinite(value)) return value > 0 ? ".inf" : "-.inf";
  return String(value);
}

/** Returns the text of a value on a separate line; with `inFlow`, of a value between brackets. */
function yamlValue(value: ConfigValue, quotes: YamlQuotes, inFlow: boolean): string {
  if (typeof value === "string") return stringText(value, quotes, inFlow);
  if (typeof value === "number") return numberText(value);
  if (typeof value !== "object") return String(value);
  if (!isTableValue(value)) return `[${value.map((part) => yamlValue(part, null, true)).join(", ")}]`;
  return `{${yamlPairs(value, true).join(", ")}}`;
}

function yamlPairs(table: ConfigTable, inFlow: boolean): string[] {
  return Object.entries(table).map(
    ([key, value]) => `${yamlKey(key, inFlow)}: ${yamlValue(value, null, inFlow)}`,
  );
}

function yamlKey(name: string | number, inFlow: boolean): string {
  return stringText(String(name), null, inFlow);
}
