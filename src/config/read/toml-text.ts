// Reads TOML: values by smol-toml, positions (only once there is an error) by toml-eslint-parser.

import { parse, TomlError } from "smol-toml";
import type { AST } from "toml-eslint-parser";
import type { IssueDetail, KeyPath } from "../values/mistakes.ts";
import { childPosition, createPositionTree, type PositionTree, treeLocator } from "./position-tree.ts";
import { type Locator, type ParsedText, type SyntaxFinding, textPositions } from "./source-text.ts";

const DEEPEST_NESTING = 64;
const MOST_SYNTAX_MISTAKES = 50;
// The limit of characters that are parsed again. Each error takes one more parse of the text, and a large hostile
// file could have many.
const REPARSED_CHARACTERS = 4 * 1024 * 1024;

const REDEFINED = "trying to redefine an already defined";

/** The `found` and `expected` texts for the parser's messages, by the beginning of the message. */
const MESSAGES: readonly (readonly [start: string, found: string, expected: string])[] = [
  [REDEFINED, "a second definition of it", "each key and each table once"],
  [
    "document contains excessively nested",
    "arrays or tables nested too deeply",
    `at most ${DEEPEST_NESTING} levels`,
  ],
  ["incomplete key-value", "a key without a value", "`key = value`"],
  [
    "invalid value",
    "not a valid TOML value",
    "a string in quotes, a number, true, false, an array or a table",
  ],
  ["illegal leading zero", "a number that begins with 0", "a number without leading zeros"],
  ["illegal underscore", "a misplaced `_` in a number", "`_` between digits only"],
  [
    "illegal character in numeric",
    "a character that does not belong in a number",
    "a number, or a string in quotes",
  ],
  ["unfinished numeric", "half a number", "a number"],
  ["integer value", "a number too large", "a smaller number"],
  ["invalid date", "a date that does not exist", "a value of another kind"],
  ["expected end of table array", "an unfinished table header", "`[[name]]`"],
  ["each key-value declaration", "more text after the value", "the end of the line"],
  ["control characters are not", "a control character", "text without control characters"],
  [
    "invalid non-hex character",
    "a broken Unicode escape",
    "`\\u` and four, or `\\U` and eight, hexadecimal digits",
  ],
  ["invalid unicode escape", "a Unicode escape of no character", "the escape of a character"],
  [
    "unrecognised escape",
    "an escape that TOML does not have",
    "`\\\\` for a backslash, or a string in single quotes",
  ],
  ["invalid escape", "a backslash before a space", "`\\\\` for a backslash"],
  ["unfinished string", "a string without an end", "the closing quote on the same line"],
  ["unexpected end of key", "an unfinished key", "`key = value`"],
  ["illegal empty bare key", "an empty key", "a key of letters, digits, `_` and `-`"],
  ["illegal quoted key", "a key over several lines", "a key on one line"],
  [
    "illegal character in key",
    "a character that a key cannot have",
    "a key of letters, digits, `_` and `-`, or one in quotes",
  ],
  ["unfinished table", "a table without its end", "`}`"],
  ["unfinished array", "an array without its end", "`]`"],
  ["expected comma", "unexpected text instead of the next element", "`,` or the end of the array or table"],
];

const ENTRY_KEY = /^[ \t]*([A-Za-z0-9_-]+)[ \t]*(=|$)/;
const HEADER = /^[ \t]*(\[\[?)([^[\]\r\n]*)\]/gm;
const PLAIN_HEADER = /^[ \t]*[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*[ \t]*$/;

/** The key of a line with an error; empty if the line, or a header above it, is too complex to tell. */
function brokenKey(text: string, offset: number): KeyPath {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const key = ENTRY_KEY.exec(text.slice(start, start + 200))?.[1];
  if (key === undefined) return [];
  const members = new Map<string, number>();
  let table = "";
  for (const [, bracket, name = ""] of text.slice(0, start).matchAll(HEADER)) {
    table = name.trim();
    if (bracket === "[[") members.set(table, (members.get(table) ?? 0) + 1);
  }
  if (table === "") return [key];
  if (!PLAIN_HEADER.test(table)) return [];
  const path: (string | number)[] = [];
  const names = table.split(".");
  for (const [depth, name] of names.entries()) {
    path.push(name);
    const count = members.get(names.slice(0, depth + 1).join("."));
    if (count !== undefined) path.push(count - 1);
  }
  return [...path, key];
}

function syntaxFinding(text: string, error: TomlError, offset: number): SyntaxFinding {
  // The parser's message also quotes lines around the error, which may hold a secret: only its beginning is
  // used.
  const message = error.message.replace(/^Invalid TOML document: /, "");
  const known = MESSAGES.find(([start]) => message.startsWith(start));
  const path = brokenKey(text, offset);
  const found = known?.[1] ?? "something that is not TOML";
  const slip = slipAt(text, offset, found);
  return { offset, path, ...(slip ?? { found, expected: known?.[2] ?? "TOML", hint: null }) };
}

function blank(text: string, start: number, end: number): string {
  return text.slice(0, start) + text.slice(start, end).replaceAll(/[^\r\n]/g, " ") + text.slice(end);
}

const SIMPLE_ENTRY = /^[ \t]*["'A-Za-z0-9_.-]+[ \t]*(=(?!.*(\[|\{|"""|''')).*)?$/;
const TABLE_HEADER = /^[ \t]*\[.*$/;

/**
 * The text with the error replaced by blanks, of the same length, so that the rest can be parsed. null: the
 * error may span several lines, so that parsing the rest would only report false errors.
 */
function withoutMistake(text: string, offset: number, redefined: boolean): string | null {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const newline = text.indexOf("\n", start);
  const end = newline === -1 ? text.length : newline;
  const line = text.slice(start, end).replace(/\r$/, "");
  if (SIMPLE_ENTRY.test(line)) return blank(text, start, end);
  if (!redefined || !TABLE_HEADER.test(line)) return null;
  const next = /\n[ \t]*\[/.exec(text.slice(end));
  return blank(text, start, next === null ? text.length : end + next.index);
}

function addContent(tree: PositionTree, node: AST.TOMLContentNode): void {
  if (node.type === "TOMLArray") {
    for (const [index, element] of node.elements.entries()) {
      addContent(childPosition(tree, index, element.range[0], element.range[0]), element);
    }
  } else if (node.type === "TOMLInlineTable") {
    for (const entry of node.body) addEntry(tree, entry);
  }
}

function addEntry(table: PositionTree, entry: AST.TOMLKeyValue): void {
  let node = table;
  for (const key of entry.key.keys) {
    const name = key.type === "TOMLBare" ? key.name : key.value;
    node = childPosition(node, name, key.range[0], entry.value.range[0]);
  }
  addContent(node, entry.value);
}

function buildTree(program: AST.TOMLProgram): PositionTree {
  const root = createPositionTree(0, 0);
  for (const node of program.body[0].body) {
    if (node.type === "TOMLKeyValue") {
      addEntry(root, node);
      continue;
    }
    const offset = node.key.range[0];
    let table = root;
    for (const segment of node.resolvedKey) table = childPosition(table, segment, offset, offset);
    for (const entry of node.body) addEntry(table, entry);
  }
  return root;
}

/** Locates keys by searching for their names: for texts that only one of the two parsers accepts. */
function searchingLocator(text: string): Locator {
  return (path) => {
    for (const segment of path.toReversed()) {
      const offset = typeof segment === "string" && segment !== "" ? text.indexOf(segment) : -1;
      if (offset !== -1) return offset;
    }
    return 0;
  };
}

function isTooDeep(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((part) => isTooDeep(part, levels - 1));
}

function tooDeep(text: string): SyntaxFinding {
  let offset = 0;
  for (const line of text.split("\n")) {
    if (line.split(".", DEEPEST_NESTING).length === DEEPEST_NESTING) break;
    offset += line.length + 1;
  }
  const found = "nesting too deep";
  const expected = `at most ${DEEPEST_NESTING} levels`;
  return { offset: offset < text.length ? offset : 0, path: [], found, expected, hint: null };
}

/** Reads TOML 1.1. Never throws; `syntax` has all errors except those that merely follow from another. */
export function parseToml(text: string): ParsedText {
  const positions = textPositions(text);
  const syntax: SyntaxFinding[] = [];
  let rest = text;
  let incomplete = false;
  let value: unknown = {};
  let budget = Math.min(
    MOST_SYNTAX_MISTAKES,
    Math.max(1, Math.floor(REPARSED_CHARACTERS / Math.max(1, text.length))),
  );
  for (;;) {
    try {
      value = parse(rest, { integersAsBigInt: "asNeeded", maxDepth: DEEPEST_NESTING });
      // The parser limits the depth of brackets, but not that of dotted keys.
      if (!isTooDeep(value, DEEPEST_NESTING)) break;
      value = {};
      incomplete = true;
      syntax.push(tooDeep(rest));
      break;
    } catch (error) {
      incomplete = true;
      if (error instanceof RangeError) {
        syntax.push(tooDeep(rest));
        break;
      }
      if (!(error instanceof TomlError)) throw error;
      const offset = positions.offset(error);
      syntax.push(syntaxFinding(text, error, offset));
      budget -= 1;
      const shorter = budget > 0 ? withoutMistake(rest, offset, error.message.includes(REDEFINED)) : null;
      if (shorter === null) break;
      rest = shorter;
    }
  }
  return {
    value,
    syntax,
    incomplete,
    async locate() {
      const { parseTOML } = await import("toml-eslint-parser");
      try {
        return treeLocator(buildTree(parseTOML(rest, { tomlVersion: "1.1" })));
      } catch (error) {
        if (error instanceof SyntaxError || error instanceof RangeError) return searchingLocator(rest);
        throw error;
      }
    },
  };
}

const CURLY_QUOTES = /[\u2018-\u201f\u00ab\u00bb]/;
const YAML_LINE = /^[ \t]*(?:- +)?[A-Za-z_][\w-]*:(?: |$)/;
const OPEN_HEADER = /^[ \t]*(\[\[?)[^\]"'=]*$/;
const WHOLE_HEADER = /^\[\[?[\w.-]{1,80}\]\]?$/;
const WINDOWS_PATH = /"[A-Za-z]:\\/;
const BEGINS_ENTRY = /^\s*(?:$|\[\[?[A-Za-z_]|[A-Za-z_][\w-]*[ \t]*=)/;

/** A clearer message for a common error at `offset`; `found` is the error as the parser reports it. */
function slipAt(text: string, offset: number, found: string): IssueDetail | null {
  if (/^\s*\{/.test(text)) {
    const hint = "a client's mcpServers are [backends.NAME] here, each with its command and args";
    return { found: "JSON", expected: "TOML", hint };
  }
  const line = lineAt(text, offset);
  if (CURLY_QUOTES.test(text.charAt(offset)))
    return { found: "a curly quote", expected: 'a straight one: `"`', hint: null };
  if (YAML_LINE.test(line)) {
    const hint = "for YAML, name the file .yaml";
    return { found: "a line of YAML", expected: "`key = value`, or `[section]`", hint };
  }
  const header = OPEN_HEADER.exec(line)?.[1];
  if (header !== undefined) {
    const end = header === "[[" ? "`]]`" : "`]`";
    return { found: "a table's header without its end", expected: end, hint: null };
  }
  if (found === "a control character" && /[\r\n]/.test(text.charAt(offset)))
    return { found: "a string without an end", expected: "the closing quote on the same line", hint: null };
  if (WINDOWS_PATH.test(line)) {
    const hint = "or put a path in single quotes, which need none: 'C:\\Users\\ann'";
    return { found: "a single backslash in a path", expected: "`\\\\` for each backslash", hint };
  }
  if (found.startsWith("unexpected text instead of the next") && BEGINS_ENTRY.test(text.slice(offset)))
    return { found: "an array or table without its end", expected: "`]` or `}` before this", hint: null };
  if (found === "a second definition of it") return secondDefinition(text, offset, line);
  return null;
}

function secondDefinition(text: string, offset: number, line: string): IssueDetail | null {
  const wanted = line.trim();
  if (!WHOLE_HEADER.test(wanted)) return null;
  const lines = text.slice(0, offset).split("\n");
  const first = lines.slice(0, -1).findIndex((each) => each.trim() === wanted);
  if (first === -1) return null;
  const hint = `line ${first + 1} has it already: put both parts together there`;
  return { found: `a second ${wanted}`, expected: "each table once", hint };
}

function lineAt(text: string, offset: number): string {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const end = text.indexOf("\n", offset);
  return text.slice(start, end === -1 ? text.length : end).replace(/\r$/, "");
}
