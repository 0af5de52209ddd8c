// The layout of a YAML text: the nodes of its tree, and where each begins and ends, without comments around it.
import type { CST, Document, Node, Pair, YAMLMap, YAMLSeq } from "yaml";
import type { KeyPath } from "../values/mistakes.ts";
import { type Bracketed, lineEnd, type Span } from "./splice.ts";

type YamlLibrary = typeof import("yaml");
type Collection = YAMLMap | YAMLSeq;

export interface YamlLayout {
  readonly yaml: YamlLibrary;
  readonly text: string;
  readonly root: Node | null;
  /** The number of spaces by which this file indents nested blocks. */
  readonly indentStep: number;
}

/** A node, with the pair and the collection that contain it. */
export interface YamlPosition {
  readonly node: Node | null;
  /** The pair whose value is the node; null for an element of a sequence and for the root. */
  readonly pair: Pair | null;
  readonly parent: Collection | null;
  /** True if the node is between brackets. */
  readonly inFlow: boolean;
}

function asNode(layout: { readonly yaml: YamlLibrary }, value: unknown): Node | null {
  return layout.yaml.isNode(value) ? value : null;
}

export async function readYamlLayout(text: string): Promise<YamlLayout> {
  const yaml = await import("yaml");
  const document: Document = yaml.parseDocument(text, {
    version: "1.2",
    uniqueKeys: false,
    keepSourceTokens: true,
    prettyErrors: false,
    logLevel: "silent",
  });
  const root = asNode({ yaml }, document.contents);
  return { yaml, text, root, indentStep: findIndentStep(yaml, root) };
}

function findIndentStep(yaml: YamlLibrary, root: Node | null): number {
  if (!yaml.isMap(root)) return 2;
  for (const { value } of root.items) {
    const step = blockIndent(value);
    if (yaml.isMap(value) && step !== null && step > 0) return step;
  }
  for (const { value } of root.items) {
    const step = blockIndent(value);
    if (step !== null && step > 0) return step;
  }
  return 2;
}

/** The column of a block collection's keys or dashes; null for any other node. */
export function blockIndent(node: unknown): number | null {
  if (typeof node !== "object" || node === null || !("srcToken" in node)) return null;
  const { srcToken } = node as { readonly srcToken?: CST.Token };
  return srcToken?.type === "block-map" || srcToken?.type === "block-seq" ? srcToken.indent : null;
}

export function isFlow(node: Node): boolean {
  return node.srcToken?.type === "flow-collection";
}

/** The text of a pair's key; null for merges and keys that are not text. */
function pairKey({ yaml }: YamlLayout, pair: Pair): string | null {
  if (!yaml.isScalar(pair.key)) return null;
  const { value, type } = pair.key;
  if (value === null || value === undefined) return "";
  if (typeof value === "object" || typeof value === "symbol") return null;
  return value === "<<" && type === "PLAIN" ? null : String(value);
}

/** Follows `path` as far as it exists in the text. `position`: the last place found; `depth`: the number of segments found. */
export function walk(
  layout: YamlLayout,
  path: KeyPath,
): { readonly position: YamlPosition; readonly depth: number } {
  const { yaml, root } = layout;
  let position: YamlPosition = { node: root, pair: null, parent: null, inFlow: false };
  for (const [depth, segment] of path.entries()) {
    const { node } = position;
    const inFlow = position.inFlow || (node !== null && isFlow(node));
    if (typeof segment === "number" && yaml.isSeq(node) && segment < node.items.length) {
      position = { node: asNode(layout, node.items[segment]), pair: null, parent: node, inFlow };
    } else if (typeof segment === "string" && yaml.isMap(node)) {
      const pair = node.items.find((candidate) => pairKey(layout, candidate) === segment);
      if (pair === undefined) return { position, depth };
      position = { node: asNode(layout, pair.value), pair, parent: node, inFlow };
    } else return { position, depth };
  }
  return { position, depth: path.length };
}

interface CollectionTokens {
  readonly start?: readonly CST.SourceToken[];
  readonly sep?: readonly CST.SourceToken[];
}

function pairTokens(pair: Pair): CollectionTokens {
  return (pair.srcToken as CollectionTokens | undefined) ?? {};
}

const PROPERTIES: readonly string[] = ["map-value-ind", "explicit-key-ind", "anchor", "tag", "seq-item-ind"];

function propertiesEnd(tokens: readonly CST.SourceToken[] | undefined): number | null {
  const last = tokens?.findLast(({ type }) => PROPERTIES.includes(type));
  return last === undefined ? null : last.offset + last.source.length;
}

/** The offset where a pair's key begins, including its `?`, anchor or tag. */
export function pairStart(layout: YamlLayout, pair: Pair): number {
  const first = pairTokens(pair).start?.find(({ type }) => PROPERTIES.includes(type));
  return first?.offset ?? asNode(layout, pair.key)?.range?.[0] ?? 0;
}

/** Returns the offset behind a pair's `:`, or behind the anchor or tag that follows the `:`. */
export function separatorEnd(layout: YamlLayout, pair: Pair): number {
  return propertiesEnd(pairTokens(pair).sep) ?? asNode(layout, pair.key)?.range?.[1] ?? 0;
}

/** True if the value is empty in the text, as after a bare `key:`. */
export function isUnwritten(node: Node | null): boolean {
  return node === null || (node.srcToken === undefined && !("source" in node && node.source !== ""));
}

function blockScalarEnd(text: string, node: Node): number {
  const [start, end] = node.range ?? [0, 0];
  const written = text.slice(start, end);
  // In a block scalar with `+`, the empty lines at the end are part of the value.
  if (/^[|>][1-9]?\+/.test(written)) return Math.max(start, end - 1);
  return start + written.trimEnd().length;
}

/** The end of a node's text, without comments behind or below it. */
export function contentEnd(layout: YamlLayout, node: Node | null, unwrittenAt: number): number {
  const { yaml, text } = layout;
  if (node === null || isUnwritten(node)) return unwrittenAt;
  if (node.srcToken?.type === "block-scalar") return blockScalarEnd(text, node);
  if (isFlow(node) || !yaml.isCollection(node)) return node.range?.[1] ?? unwrittenAt;
  return yaml.isMap(node) ? lastPairEnd(layout, node) : lastItemEnd(layout, node as YAMLSeq);
}

function lastPairEnd(layout: YamlLayout, map: YAMLMap): number {
  const last = map.items.at(-1);
  return last === undefined ? (map.range?.[1] ?? 0) : pairEnd(layout, last);
}

export function pairEnd(layout: YamlLayout, pair: Pair): number {
  return contentEnd(layout, asNode(layout, pair.value), separatorEnd(layout, pair));
}

/** The offset of the dash before an item; null if the sequence is not a block sequence. */
export function itemStart(sequence: YAMLSeq, index: number): number | null {
  const token = sequence.srcToken;
  if (token?.type !== "block-seq") return null;
  const dash = token.items[index]?.start.find(({ type }) => type === "seq-item-ind");
  return dash?.offset ?? null;
}

export function itemEnd(layout: YamlLayout, sequence: YAMLSeq, index: number): number {
  const dash = itemStart(sequence, index) ?? sequence.range?.[0] ?? 0;
  return contentEnd(layout, asNode(layout, sequence.items[index]), dash + 1);
}

function lastItemEnd(layout: YamlLayout, sequence: YAMLSeq): number {
  return itemEnd(layout, sequence, sequence.items.length - 1);
}

export function flowEntries(layout: YamlLayout, node: Collection): Bracketed {
  const [start, end] = node.range ?? [0, 0];
  const entries: Span[] = layout.yaml.isMap(node)
    ? node.items.map((pair) => ({ start: pairStart(layout, pair), end: pairEnd(layout, pair) }))
    : node.items.map((item) => {
        const [from, to] = asNode(layout, item)?.range ?? [start, end];
        return { start: from, end: to };
      });
  const spaced = /^\{[ \t]/.test(layout.text.slice(start, end));
  return { open: start + 1, close: end - 1, entries, spaced };
}

/** True if there is a comment between the end of the line that contains `from` and the offset `to`. */
export function hasCommentLines(text: string, from: number, to: number): boolean {
  return text.slice(lineEnd(text, from), to).includes("#");
}
