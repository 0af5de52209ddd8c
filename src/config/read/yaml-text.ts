// Reads YAML: one document, plain data, anchors and merge keys within a budget. `yaml` is loaded only here.
import type { Alias, Document, DocumentOptions, Node, Pair, ParseOptions, YAMLMap, YAMLSeq } from "yaml";
import type { KeyPath } from "../values/mistakes.ts";
import { define, emptyTable } from "../values/table.ts";
import { createPositionTree, type PositionTree, treeLocator } from "./position-tree.ts";
import type { ParsedText, SyntaxFinding } from "./source-text.ts";

const DEEPEST_NESTING = 64;
const TOO_DEEP = ["nesting too deep", `at most ${DEEPEST_NESTING} levels`] as const;
/**
 * The limit of nodes read from the text, where nodes behind an alias count each time. It stops an alias bomb.
 */
const MOST_NODES = 150_000;
const MOST_SYNTAX_MISTAKES = 50;

type YamlLibrary = typeof import("yaml");

/** The meaning of the parser's codes. Its messages are not used: they quote the text, which may hold a secret. */
const CODES: Readonly<Record<string, readonly [found: string, expected: string]>> = {
  ALIAS_PROPS: ["an alias with its own tag or anchor", "only the alias"],
  BAD_ALIAS: ["an alias without a name, or one ending in `:`", "`*name`"],
  BAD_DIRECTIVE: ["a directive that YAML does not have", "no `%` directive"],
  BAD_DQ_ESCAPE: [
    "an escape that YAML does not have",
    "`\\\\` for a backslash, or a string in single quotes",
  ],
  BAD_INDENT: ["a line indented like none above it", "the indentation of its neighbours"],
  BAD_PROP_ORDER: ["a tag or anchor in the wrong place", "tag and anchor before the value"],
  BAD_SCALAR_START: ["a value that begins with a reserved character", "the value in quotes"],
  BLOCK_AS_IMPLICIT_KEY: ["a mapping inside a one-line key", "each key on its own line"],
  BLOCK_IN_FLOW: ["an indented block inside brackets", "`[…]` or `{…}` throughout"],
  DUPLICATE_KEY: ["a second definition of it", "each key once"],
  MISSING_CHAR: ["something unfinished before this", "the closing quote, bracket, comma or colon"],
  MULTIPLE_ANCHORS: ["two anchors on one value", "one anchor"],
  MULTIPLE_TAGS: ["two tags on one value", "one tag"],
  MULTILINE_IMPLICIT_KEY: ["a key over several lines", "a key on one line, and `:` after it"],
  RESOURCE_EXHAUSTION: TOO_DEEP,
  TAB_AS_INDENT: ["a tab as indentation", "spaces"],
  UNEXPECTED_TOKEN: ["something that does not belong here", "`key: value`"],
};

const WHOLE_FILE = "a mapping of sections, such as `global:` and `shares:`";

/** Ends the recursion when a limit is reached. The error is always caught in this file. */
class LimitReached extends Error {
  readonly finding: SyntaxFinding;

  constructor(offset: number, [found, expected]: readonly [string, string]) {
    super(found);
    this.finding = { offset, path: [], found, expected, hint: null };
  }
}

function limitReached(
  nodes: number,
  depth: number,
  isCycle: boolean,
): readonly [found: string, expected: string] | null {
  if (nodes > MOST_NODES) return ["aliases that unfold to too much", "less repetition"];
  if (depth > DEEPEST_NESTING) return TOO_DEEP;
  return isCycle ? ["an alias to what it is part of", "no cycle"] : null;
}

interface Reading {
  readonly value: unknown;
  readonly tree: PositionTree;
}

function keyText(yaml: YamlLibrary, key: unknown): string | null {
  if (!yaml.isScalar(key)) return null;
  const { value } = key;
  if (value === null || value === undefined) return "";
  return typeof value === "object" || typeof value === "symbol" ? null : String(value);
}

/** The sources of a merge key (`<<`): one mapping, or a list of mappings. */
function mergeSources({ value, tree }: Reading): Reading[] {
  if (!Array.isArray(value)) return [{ value, tree }];
  const items: readonly unknown[] = value;
  return items.map((item, index) => ({ value: item, tree: tree.children.get(index) ?? tree }));
}

/** Adds the keys that the target lacks; false: the source is not a mapping. */
function mergeInto(target: Record<string, unknown>, tree: PositionTree, source: Reading): boolean {
  if (typeof source.value !== "object" || source.value === null || Array.isArray(source.value)) return false;
  for (const [key, value] of Object.entries(source.value)) {
    if (Object.hasOwn(target, key)) continue;
    define(target, key, value);
    const node = source.tree.children.get(key);
    if (node !== undefined) tree.children.set(key, node);
  }
  return true;
}

/** Turns a document into plain values and places, in time linear in the length of the text. */
function createReader(yaml: YamlLibrary, document: Document, syntax: SyntaxFinding[]) {
  const anchors = new Map<string, Node>();
  const open = new Set<Node>();
  let nodes = 0;
  let followed = 0;

  const offsetOf = (node: unknown, fallback: number): number =>
    yaml.isNode(node) ? (node.range?.[0] ?? fallback) : fallback;
  const wrong = (offset: number, path: KeyPath, found: string, expected: string): void => {
    syntax.push({ offset, path, found, expected, hint: null });
  };

  function enter(node: Node | null, offset: number, depth: number): void {
    nodes += 1;
    const limit = limitReached(nodes, depth, node !== null && open.has(node));
    if (limit !== null) throw new LimitReached(offset, limit);
  }

  function readAlias(alias: Alias, depth: number, path: KeyPath): Reading {
    const offset = offsetOf(alias, 0);
    const target = anchors.get(alias.source);
    if (target !== undefined) {
      followed += 1;
      const reading = read(target, offset, depth, path);
      followed -= 1;
      return reading;
    }
    wrong(offset, path, "an alias to nothing", "an anchor of that name before it");
    return { value: undefined, tree: createPositionTree(offset, offset) };
  }

  function readSequence(sequence: YAMLSeq, offset: number, depth: number, path: KeyPath): Reading {
    const tree = createPositionTree(offset, offset);
    const value = sequence.items.map((item, index) => {
      const reading = read(item, offset, depth + 1, [...path, index]);
      tree.children.set(index, reading.tree);
      return reading.value;
    });
    return { value, tree };
  }

  function readMapping(mapping: YAMLMap, offset: number, depth: number, path: KeyPath): Reading {
    const value = emptyTable();
    const tree = createPositionTree(offset, offset);
    const merges: Pair[] = [];
    for (const pair of mapping.items) {
      const keyOffset = offsetOf(pair.key, offset);
      const key = keyText(yaml, pair.key);
      if (key === null) {
        wrong(keyOffset, path, "a key that is not a text", "`key: value`");
        continue;
      }
      if (key === "<<" && yaml.isScalar(pair.key) && pair.key.type === "PLAIN") {
        merges.push(pair);
        continue;
      }
      const keyPath = [...path, key];
      if (Object.hasOwn(value, key)) {
        const [found, expected] = CODES["DUPLICATE_KEY"] ?? ["", ""];
        wrong(keyOffset, keyPath, found, expected);
        continue;
      }
      const reading = read(pair.value, keyOffset, depth + 1, keyPath);
      define(value, key, reading.value);
      // All uses of an alias share one tree, so each key gets a copy with its own offset.
      tree.children.set(key, { ...reading.tree, keyOffset });
    }
    // Merge sources come after the mapping's own keys, which win; among several sources, the first wins.
    for (const pair of merges) {
      const reading = read(pair.value, offset, depth + 1, path);
      for (const source of mergeSources(reading)) {
        if (mergeInto(value, tree, source)) continue;
        wrong(offsetOf(pair.value, offset), path, "`<<` with a value that is not a mapping", "`<<: *name`");
      }
    }
    return { value, tree };
  }

  function read(node: unknown, around: number, depth: number, path: KeyPath): Reading {
    const offset = offsetOf(node, around);
    enter(yaml.isNode(node) ? node : null, offset, depth);
    if (!yaml.isNode(node)) return { value: null, tree: createPositionTree(offset, offset) };
    if (yaml.isAlias(node)) return readAlias(node, depth + 1, path);
    // A node that is read again through an alias must not hide a newer anchor of the same name.
    if (node.anchor !== undefined && followed === 0) anchors.set(node.anchor, node);
    if (yaml.isScalar(node)) return { value: node.value, tree: createPositionTree(offset, offset) };
    open.add(node);
    const reading = yaml.isMap(node)
      ? readMapping(node, offset, depth, path)
      : readSequence(node, offset, depth, path);
    open.delete(node);
    return reading;
  }

  return () => read(document.contents, 0, 0, []);
}

function syntaxFindings(document: Document): SyntaxFinding[] {
  const findings: SyntaxFinding[] = [];
  for (const error of document.errors) {
    if (findings.length === MOST_SYNTAX_MISTAKES) break;
    const [found, expected] = CODES[error.code] ?? ["something that is not YAML", "YAML"];
    findings.push({ offset: error.pos[0], path: [], found, expected, hint: null });
  }
  return findings;
}

/** Keeps one error for each line, because the parser may report one error many times. */
function firstPerLine(text: string, findings: readonly SyntaxFinding[]): SyntaxFinding[] {
  const lines = new Set<number>();
  return findings.filter(({ offset }) => {
    const start = text.lastIndexOf("\n", offset - 1);
    return lines.has(start) ? false : lines.add(start) !== undefined;
  });
}

/** The first document, and the second if there is one. Stops reading after MOST_SYNTAX_MISTAKES errors. */
function firstDocuments(
  yaml: YamlLibrary,
  text: string,
  options: DocumentOptions & ParseOptions,
): Document[] {
  const composer = new yaml.Composer(options);
  const documents: Document[] = [];
  let mistakes = 0;
  for (const token of new yaml.Parser().parse(text)) {
    for (const document of composer.next(token)) documents.push(document);
    if (token.type === "error") mistakes += 1;
    if (documents.length > 1 || mistakes > MOST_SYNTAX_MISTAKES) break;
  }
  for (const document of composer.end()) documents.push(document);
  return documents;
}

/** Reads YAML 1.2. Errors in the text are in the result and never make it reject. */
export async function parseYaml(text: string): Promise<ParsedText> {
  const yaml = await import("yaml");
  // Duplicate keys are found while reading: the parser's own check is quadratic.
  const options = {
    version: "1.2",
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: "silent",
    stringKeys: false,
  } as const;
  let documents: readonly Document[];
  try {
    documents = firstDocuments(yaml, text, options);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return rejected([new LimitReached(0, TOO_DEEP).finding]);
  }
  const [document, second] = documents;
  if (document === undefined) return rejected([]);
  const syntax = firstPerLine(text, syntaxFindings(document));
  if (second !== undefined) {
    const offset = second.contents?.range?.[0] ?? second.range?.[0] ?? 0;
    const found = "a second document";
    syntax.push({ offset, path: [], found, expected: "one document", hint: "remove the `---`" });
  }
  if (document.errors.length > 0) return rejected(syntax);
  for (const { pos } of document.warnings.slice(0, MOST_SYNTAX_MISTAKES)) {
    const found = "a tag that is not understood";
    syntax.push({ offset: pos[0], path: [], found, expected: "plain values", hint: null });
  }
  try {
    const { value, tree } = createReader(yaml, document, syntax)();
    if (value !== null && (typeof value !== "object" || Array.isArray(value))) {
      const found = Array.isArray(value) ? "a list" : "a single value";
      syntax.push({ offset: tree.valueOffset, path: [], found, expected: WHOLE_FILE, hint: null });
      return rejected(syntax);
    }
    return { value: value ?? {}, syntax, incomplete: false, locate: async () => treeLocator(tree) };
  } catch (error) {
    if (!(error instanceof LimitReached)) throw error;
    return rejected([...syntax, error.finding]);
  }
}

function rejected(syntax: readonly SyntaxFinding[]): ParsedText {
  const tree = createPositionTree(0, 0);
  return { value: {}, syntax, incomplete: syntax.length > 0, locate: async () => treeLocator(tree) };
}
