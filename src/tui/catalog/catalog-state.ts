// The Catalog screen's state and its reaction to keys. Pure: loading, asking and calling are returned as actions.
import type { CatalogReport } from "../../api/catalog-contract.ts";
import type { CallReport } from "../../api/contract.ts";
import type { FormPath } from "../../api/forms/form-node.ts";
import { mayDestroy } from "../../api/tool-hints.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { counted } from "../../runtime/text/plain-text.ts";
import { isNamed, type Key } from "../terminal/key.ts";
import { pressTextKey, type TypedText } from "../terminal/typed-text.ts";
import { createScroller, pressScrollKey, type Scroller, type TextSize, withSize } from "../text/scroller.ts";
import { type CatalogItem, catalogItems, itemDetails, searchItems } from "./catalog-items.ts";
import { type CallForm, createCallForm, pasteIntoForm, pressFormKey, withEdited } from "./form-state.ts";

export type CatalogPage =
  | { readonly kind: "list" }
  | { readonly kind: "details"; readonly item: CatalogItem; readonly text: Scroller }
  | { readonly kind: "form"; readonly item: CatalogItem; readonly form: CallForm }
  | { readonly kind: "calling"; readonly item: CatalogItem; readonly form: CallForm }
  | {
      readonly kind: "answer";
      readonly item: CatalogItem;
      readonly form: CallForm;
      readonly answer: AnswerText;
      readonly text: Scroller;
      /** How long the call took. */
      readonly tookMs: number;
    };

export interface CatalogState {
  /** null: not known yet. */
  readonly items: readonly CatalogItem[] | null;
  /** Entries the daemon left out, because there are too many. */
  readonly leftOut: number;
  /** Why it could not be had; null: it could. */
  readonly failure: string | null;
  readonly query: TypedText;
  /** Whether keys go into the search. */
  readonly isSearching: boolean;
  /** The items that the search finds. */
  readonly found: readonly CatalogItem[];
  /** The row that is chosen among them. */
  readonly at: number;
  readonly page: CatalogPage;
  /** Of the whole screen. */
  readonly size: TextSize;
}

export type CatalogAction =
  | { readonly kind: "load" }
  | {
      readonly kind: "call";
      readonly item: CatalogItem;
      readonly arguments: Readonly<Record<string, unknown>>;
      /** Asked about first. */
      readonly mayDestroy: boolean;
    }
  | { readonly kind: "switch"; readonly item: CatalogItem; readonly on: boolean }
  | { readonly kind: "cancel" }
  /** A text is to be edited as JSON; the path null: all arguments. */
  | { readonly kind: "edit"; readonly path: FormPath | null; readonly text: string };

interface CatalogStep {
  readonly state: CatalogState;
  readonly action: CatalogAction | null;
  /** False: the key means nothing here. */
  readonly used: boolean;
}

export const EMPTY_CATALOG: CatalogState = {
  items: null,
  leftOut: 0,
  failure: null,
  query: { text: "", caret: 0 },
  isSearching: false,
  found: [],
  at: 0,
  page: { kind: "list" },
  size: { width: 80, height: 20 },
};

/** Lines above the list, and above what is read in pages. */
export const LIST_HEAD = 2;
export const PAGE_HEAD = 1;
/** In the form's head and below it. */
export const FORM_HEAD = 2;

/** The catalog as it is now; the chosen item stays chosen, and what is open stays open. */
export function withCatalog(state: CatalogState, report: CatalogReport): CatalogState {
  const items = catalogItems(report);
  const chosen = state.found[state.at]?.id;
  const found = searchItems(items, state.query.text);
  const at = found.findIndex(({ id }) => id === chosen);
  const leftOut = Object.values(report.left_out ?? {}).reduce((sum, count) => sum + count, 0);
  return {
    ...state,
    items,
    leftOut,
    failure: null,
    found,
    at: at === -1 ? Math.max(0, Math.min(state.at, found.length - 1)) : at,
  };
}

export function withCatalogSize(state: CatalogState, { width, height }: TextSize): CatalogState {
  const page = state.page;
  const size = { width, height };
  switch (page.kind) {
    case "details":
    case "answer":
      return { ...state, size, page: { ...page, text: withSize(page.text, pageSize(size)) } };
    default:
      return { ...state, size };
  }
}

function pageSize({ width, height }: TextSize): TextSize {
  return { width, height: Math.max(1, height - PAGE_HEAD) };
}

/** What the call came to; nothing where a person has given up waiting for it. */
export function withAnswer(state: CatalogState, report: CallReport, tookMs: number): CatalogState {
  const { page } = state;
  if (page.kind !== "calling") return state;
  const answer = answerText(report);
  const text = createScroller(answer.text, pageSize(state.size));
  return { ...state, page: { kind: "answer", item: page.item, form: page.form, answer, text, tookMs } };
}

export function withCalling(state: CatalogState): CatalogState {
  return turned(state, "form", "calling");
}

/** Back to the form, as it was. */
export function withoutCall(state: CatalogState): CatalogState {
  return turned(state, "calling", "form");
}

type CallPage = "form" | "calling";

function turned(state: CatalogState, from: CallPage, to: CallPage): CatalogState {
  const { page } = state;
  return page.kind === from ? { ...state, page: { kind: to, item: page.item, form: page.form } } : state;
}

/** What was edited as JSON, back in the form that asked for it. */
export function withJson(state: CatalogState, path: FormPath | null, text: string): CatalogState {
  const { page } = state;
  if (page.kind !== "form") return state;
  return { ...state, page: { ...page, form: withEdited(page.form, path, text) } };
}

export function pressCatalogKey(state: CatalogState, key: Key): CatalogStep {
  const { page } = state;
  switch (page.kind) {
    case "list":
      return state.isSearching ? inSearch(state, key) : inList(state, key);
    case "details":
      return inDetails(state, page, key);
    case "form":
      return inForm(state, page, key);
    case "calling":
      return isNamed(key, "escape")
        ? { state: withoutCall(state), action: { kind: "cancel" }, used: true }
        : unused(state);
    case "answer":
      return inAnswer(state, page, key);
  }
}

/** Text that came as one piece. */
export function pasteIntoCatalog(state: CatalogState, text: string): CatalogState {
  const { page } = state;
  if (page.kind === "form") return { ...state, page: { ...page, form: pasteIntoForm(page.form, text) } };
  if (page.kind !== "list" || !state.isSearching) return state;
  const line = text.replaceAll(/\s+/g, " ").trim();
  const query = pressTextKey(state.query, { kind: "character", text: line });
  return query === null ? state : searched(state, query);
}

function used(state: CatalogState): CatalogStep {
  return { state, action: null, used: true };
}

function unused(state: CatalogState): CatalogStep {
  return { state, action: null, used: false };
}

function onPage(state: CatalogState, page: CatalogPage): CatalogStep {
  return used({ ...state, page });
}

function searched(state: CatalogState, query: TypedText): CatalogState {
  if (query.text === state.query.text) return { ...state, query };
  return { ...state, query, found: searchItems(state.items ?? [], query.text), at: 0 };
}

function inSearch(state: CatalogState, key: Key): CatalogStep {
  if (isNamed(key, "escape")) return used({ ...state, isSearching: false });
  if (isNamed(key, "enter") || isNamed(key, "tab")) return used({ ...state, isSearching: false });
  const moved = movedBy(state, key);
  // In what is typed, these keys go to its ends.
  if (moved !== null && !isNamed(key, "home") && !isNamed(key, "end"))
    return used({ ...state, at: clamped(state, state.at + moved) });
  const query = pressTextKey(state.query, key);
  return query === null ? unused(state) : used(searched(state, query));
}

function inList(state: CatalogState, key: Key): CatalogStep {
  if (key.kind === "character") {
    if (key.text === "/") return used({ ...state, isSearching: true });
    const item = state.found[state.at];
    if (key.text === "o" && item !== undefined && (item.kind === "tool" || isOff(item)))
      return { state, action: { kind: "switch", item, on: isOff(item) }, used: true };
    return key.text === "r" ? { state, action: { kind: "load" }, used: true } : unused(state);
  }
  const moved = movedBy(state, key);
  if (moved !== null) return used({ ...state, at: clamped(state, state.at + moved) });
  if (key.name === "find") return used({ ...state, isSearching: true });
  if (key.name === "enter") {
    const item = state.found[state.at];
    return item === undefined ? used(state) : onPage(state, detailsOf(state, item));
  }
  const hasQuery = state.query.text !== "";
  return key.name === "escape" && hasQuery ? used(searched(state, { text: "", caret: 0 })) : unused(state);
}

/** A tool that a person has switched off. */
function isOff({ kind, entry }: CatalogItem): boolean {
  return kind === "withheld" && entry["reason"] === "off";
}

function detailsOf(state: CatalogState, item: CatalogItem): CatalogPage {
  return { kind: "details", item, text: createScroller(itemDetails(item), pageSize(state.size)) };
}

/** By how many rows a key moves; null: it does not. */
function movedBy({ size, found }: CatalogState, key: Key): number | null {
  if (key.kind !== "named") return null;
  const page = Math.max(1, size.height - LIST_HEAD - 1);
  switch (key.name) {
    case "down":
      return 1;
    case "up":
      return -1;
    case "pagedown":
      return page;
    case "pageup":
      return -page;
    case "home":
      return -found.length;
    case "end":
      return found.length;
    default:
      return null;
  }
}

function clamped({ found }: CatalogState, at: number): number {
  return Math.max(0, Math.min(found.length - 1, at));
}

function inDetails(
  state: CatalogState,
  page: Extract<CatalogPage, { kind: "details" }>,
  key: Key,
): CatalogStep {
  if (isNamed(key, "escape") || isNamed(key, "left")) return onPage(state, { kind: "list" });
  const { item } = page;
  if (isNamed(key, "enter")) {
    if (item.kind !== "tool") return used(state);
    return onPage(state, {
      kind: "form",
      item,
      form: createCallForm(item.entry["input_schema"], item.entry["cut"] === true),
    });
  }
  const text = pressScrollKey(page.text, key);
  return text === null ? unused(state) : onPage(state, { ...page, text });
}

function inForm(state: CatalogState, page: Extract<CatalogPage, { kind: "form" }>, key: Key): CatalogStep {
  const { item } = page;
  const sized = { ...page.form, pageRows: Math.max(1, state.size.height - FORM_HEAD - 2) };
  const { form, action, used: isUsed } = pressFormKey(sized, key);
  const next: CatalogState = { ...state, page: { ...page, form } };
  switch (action?.kind) {
    case undefined:
      return { state: next, action: null, used: isUsed };
    case "leave":
      return onPage(state, detailsOf(state, item));
    case "edit":
      return { state: next, action, used: true };
    case "send":
      return {
        state: next,
        action: {
          kind: "call",
          item,
          arguments: action.arguments,
          mayDestroy: mayDestroy(item.entry["annotations"]),
        },
        used: true,
      };
  }
}

function inAnswer(
  state: CatalogState,
  page: Extract<CatalogPage, { kind: "answer" }>,
  key: Key,
): CatalogStep {
  const { item, form } = page;
  if (isNamed(key, "escape") || isNamed(key, "left") || isNamed(key, "enter"))
    return onPage(state, { kind: "form", item, form });
  const text = pressScrollKey(page.text, key);
  return text === null ? unused(state) : onPage(state, { ...page, text });
}

// A tool's answer as text to read: data, never interpreted, and never more than a terminal can take.

/** Characters that are shown of an answer. */
export const ANSWER_LIMIT = 256 * 1024;

interface AnswerText {
  readonly text: string;
  /** Whether the tool says that it went well. */
  readonly isGood: boolean;
  /** Characters there are beyond those shown. */
  readonly cutOff: number;
}

export function answerText({ result, error }: CallReport): AnswerText {
  const isGood = error === null && result?.["isError"] !== true;
  const whole = error === null ? resultText(result ?? {}) : errorLines(error);
  const text = whole.slice(0, ANSWER_LIMIT);
  return { text: text.toWellFormed(), isGood, cutOff: whole.length - text.length };
}

function errorLines({ code, message, data }: NonNullable<CallReport["error"]>): string {
  const more = data === undefined ? [] : ["", pretty(data)];
  return [`error ${code}: ${message}`, ...more].join("\n");
}

function resultText(result: Readonly<Record<string, unknown>>): string {
  const { content, structuredContent, isError: _, ...rest } = result;
  const blocks = Array.isArray(content) ? content.map(blockText) : [];
  const structured = structuredContent === undefined ? [] : [`structured:\n${pretty(structuredContent)}`];
  const others = Object.keys(rest).length === 0 ? [] : [pretty(rest)];
  const parts = [...blocks, ...structured, ...others];
  return parts.length === 0 ? "(nothing)" : parts.join("\n\n");
}

function blockText(block: unknown): string {
  if (!isObject(block)) return pretty(block);
  const { type, text, data, mimeType, resource } = block;
  if (type === "text" && typeof text === "string") return text;
  if ((type === "image" || type === "audio") && typeof data === "string")
    return `[${type} ${String(mimeType)}, ${sizeText(data)}]`;
  if (type === "resource" && isObject(resource)) {
    const { uri, text: inner, blob } = resource;
    if (typeof inner === "string") return `[${String(uri)}]\n${inner}`;
    if (typeof blob === "string") return `[${String(uri)}, ${sizeText(blob)}]`;
  }
  return pretty(block);
}

/** Of what is base64. */
function sizeText(data: string): string {
  const padding = /=*$/.exec(data.slice(-2))?.[0].length ?? 0;
  return counted(Math.max(0, Math.floor((data.length * 3) / 4) - padding), "byte");
}

function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? "";
}
