// The Catalog screen's state and its reaction to keys. Pure: requests and questions are returned as actions.
import type { CatalogReport } from "../../api/contract/catalog.ts";
import type { CallReport } from "../../api/contract/contract.ts";
import type { FormPath } from "../../api/forms/form-node.ts";
import { mayDestroy } from "../../api/words/tool-hints.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { counted } from "../../runtime/text/plain-text.ts";
import {
  type CallForm,
  createCallForm,
  pasteIntoForm,
  pressFormKey,
  withEdited,
} from "../forms/form-state.ts";
import { isNamed, type Key, rowsMoved } from "../terminal/key.ts";
import { next, type Step, unused } from "../terminal/step.ts";
import { pressTextKey, type TypedText } from "../terminal/typed-text.ts";
import { createScroller, pressScrollKey, type Scroller, type TextSize, withSize } from "../text/scroller.ts";
import { type CatalogItem, catalogItems, itemDetails, searchItems } from "./catalog-items.ts";

export type CatalogPage =
  | { readonly kind: "list" }
  | { readonly kind: "details"; readonly item: CatalogItem; readonly text: Scroller }
  | { readonly kind: "form" | "calling"; readonly item: CatalogItem; readonly form: CallForm }
  | {
      readonly kind: "answer";
      readonly item: CatalogItem;
      readonly form: CallForm;
      readonly answer: AnswerText;
      readonly text: Scroller;
      readonly tookMs: number;
    };

export interface CatalogState {
  /** All items; null until the catalog is read. */
  readonly items: readonly CatalogItem[] | null;
  /** Number of entries that the daemon has left out, because there are too many. */
  readonly leftOut: number;
  /** Why the catalog could not be read; null: no failure. */
  readonly failure: string | null;
  readonly query: TypedText;
  readonly isSearching: boolean;
  readonly found: readonly CatalogItem[];
  /** Index of the chosen item in `found`. */
  readonly at: number;
  readonly page: CatalogPage;
  /** The size of the whole screen. */
  readonly size: TextSize;
}

export type CatalogAction =
  | { readonly kind: "load" }
  | {
      readonly kind: "call";
      readonly item: CatalogItem;
      readonly arguments: Readonly<Record<string, unknown>>;
      /** True: the user must confirm the call first. */
      readonly mayDestroy: boolean;
    }
  | { readonly kind: "switch"; readonly item: CatalogItem; readonly on: boolean }
  | { readonly kind: "cancel" }
  /** Edit a field as JSON; `path` null: all arguments. */
  | { readonly kind: "edit"; readonly path: FormPath | null; readonly text: string };

type CatalogStep = Step<CatalogState, CatalogAction>;

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

/** Number of lines above the list; `PAGE_HEAD`: above a text; `FORM_HEAD`: above the form. */
export const LIST_HEAD = 2;
const PAGE_HEAD = 1;
export const FORM_HEAD = 2;

/** Replaces the items by those of a new report; the chosen item and the open page stay. */
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
  const { page } = state;
  const size = { width, height };
  if (page.kind !== "details" && page.kind !== "answer") return { ...state, size };
  return { ...state, size, page: { ...page, text: withSize(page.text, pageSize(size)) } };
}

function pageSize({ width, height }: TextSize): TextSize {
  return { width, height: Math.max(1, height - PAGE_HEAD) };
}

/** Shows the call's answer; ignores it if the user has cancelled the call. */
export function withAnswer(state: CatalogState, report: CallReport, tookMs: number): CatalogState {
  const { page } = state;
  if (page.kind !== "calling") return state;
  const answer = answerText(report);
  const text = createScroller(answer.text, pageSize(state.size));
  return { ...state, page: { kind: "answer", item: page.item, form: page.form, answer, text, tookMs } };
}

export function withCalling(state: CatalogState): CatalogState {
  const { page } = state;
  return page.kind === "form" ? { ...state, page: { ...page, kind: "calling" } } : state;
}

/** Shows the form again after a call without an answer. */
export function withoutCall(state: CatalogState): CatalogState {
  const { page } = state;
  return page.kind === "calling" ? { ...state, page: { ...page, kind: "form" } } : state;
}

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
      return inForm(state, page, page.item, key);
    case "calling":
      return isNamed(key, "escape") ? next(withoutCall(state), { kind: "cancel" }) : unused(state);
    case "answer":
      return inAnswer(state, page, key);
  }
}

export function pasteIntoCatalog(state: CatalogState, text: string): CatalogState {
  const { page } = state;
  if (page.kind === "form") return { ...state, page: { ...page, form: pasteIntoForm(page.form, text) } };
  if (page.kind !== "list" || !state.isSearching) return state;
  const line = text.replaceAll(/\s+/g, " ").trim();
  const query = pressTextKey(state.query, { kind: "character", text: line });
  return query === null ? state : searched(state, query);
}

function onPage(state: CatalogState, page: CatalogPage): CatalogStep {
  return next({ ...state, page });
}

function searched(state: CatalogState, query: TypedText): CatalogState {
  if (query.text === state.query.text) return { ...state, query };
  return { ...state, query, found: searchItems(state.items ?? [], query.text), at: 0 };
}

function inSearch(state: CatalogState, key: Key): CatalogStep {
  const name = key.kind === "named" ? key.name : "";
  if (["escape", "enter", "tab"].includes(name)) return next({ ...state, isSearching: false });
  // Home and End move in the typed text, not in the list.
  if (["up", "down", "pageup", "pagedown"].includes(name))
    return moved(state, rowsMoved(key, pageRows(state)));
  const query = pressTextKey(state.query, key);
  return query === null ? unused(state) : next(searched(state, query));
}

function inList(state: CatalogState, key: Key): CatalogStep {
  if (key.kind === "character") {
    if (key.text === "/") return next({ ...state, isSearching: true });
    const item = state.found[state.at];
    if (key.text === "o" && item !== undefined && (item.kind === "tool" || isOff(item)))
      return next(state, { kind: "switch", item, on: isOff(item) });
    return key.text === "r" ? next(state, { kind: "load" }) : unused(state);
  }
  const by = rowsMoved(key, pageRows(state));
  if (by !== 0) return moved(state, by);
  if (key.name === "find") return next({ ...state, isSearching: true });
  if (key.name === "enter") {
    const item = state.found[state.at];
    return item === undefined ? next(state) : onPage(state, detailsOf(state, item));
  }
  const hasQuery = state.query.text !== "";
  return key.name === "escape" && hasQuery ? next(searched(state, { text: "", caret: 0 })) : unused(state);
}

/** True for a tool that the user has switched off. */
function isOff({ kind, entry }: CatalogItem): boolean {
  return kind === "withheld" && entry["reason"] === "off";
}

function detailsOf(state: CatalogState, item: CatalogItem): CatalogPage {
  return { kind: "details", item, text: createScroller(itemDetails(item), pageSize(state.size)) };
}

function moved(state: CatalogState, by: number): CatalogStep {
  return next({ ...state, at: Math.max(0, Math.min(state.found.length - 1, state.at + by)) });
}

function pageRows({ size }: CatalogState): number {
  return Math.max(1, size.height - LIST_HEAD - 1);
}

function inDetails(
  state: CatalogState,
  page: Extract<CatalogPage, { kind: "details" }>,
  key: Key,
): CatalogStep {
  if (isNamed(key, "escape") || isNamed(key, "left")) return onPage(state, { kind: "list" });
  const { item } = page;
  if (isNamed(key, "enter")) {
    if (item.kind !== "tool") return next(state);
    return onPage(state, {
      kind: "form",
      item,
      form: createCallForm(item.entry["input_schema"], item.entry["cut"] === true),
    });
  }
  const text = pressScrollKey(page.text, key);
  return text === null ? unused(state) : onPage(state, { ...page, text });
}

function inForm(
  state: CatalogState,
  page: Extract<CatalogPage, { kind: "form" | "calling" }>,
  item: CatalogItem,
  key: Key,
): CatalogStep {
  const sized = { ...page.form, pageRows: Math.max(1, state.size.height - FORM_HEAD - 2) };
  const { state: form, action, used } = pressFormKey(sized, key);
  const changed: CatalogState = { ...state, page: { ...page, form } };
  switch (action?.kind) {
    case undefined:
      return { state: changed, action: null, used };
    case "leave":
      return onPage(state, detailsOf(state, item));
    case "edit":
      return next(changed, action);
    case "send": {
      const destroys = mayDestroy(item.entry["annotations"]);
      return next(changed, { kind: "call", item, arguments: action.arguments, mayDestroy: destroys });
    }
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

// A tool's answer as text: bounded, and never interpreted.

/** In characters. */
export const ANSWER_LIMIT = 256 * 1024;

interface AnswerText {
  readonly text: string;
  /** False if the tool reports an error. */
  readonly isGood: boolean;
  /** In characters. */
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

function sizeText(data: string): string {
  const padding = /=*$/.exec(data.slice(-2))?.[0].length ?? 0;
  return counted(Math.max(0, Math.floor((data.length * 3) / 4) - padding), "byte");
}

function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? "";
}
