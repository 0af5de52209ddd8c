// Draws the Catalog screen: the list with its search, an item's details, the call form, and a call's answer.

import { columns, counted, padded } from "../../runtime/text/plain-text.ts";
import { formLines } from "../forms/form-lines.ts";
import { cutText, type Line, span, spread } from "../terminal/line.ts";
import { drawnRows, rowMark } from "../terminal/list-state.ts";
import type { ScreenSize } from "../terminal/screen.ts";
import { textSpans } from "../terminal/typed-text.ts";
import { belowText, type Scroller, shownLines } from "../text/scroller.ts";
import { shownLine } from "../text/shown-text.ts";
import type { CatalogItem } from "./catalog-items.ts";
import { type CatalogPage, type CatalogState, FORM_HEAD, LIST_HEAD } from "./catalog-state.ts";

const KIND_WIDTH = 10;
const NAME_MAX = 48;
const BACKEND_MAX = 20;

export function catalogLines(state: CatalogState, size: ScreenSize): readonly Line[] {
  const { page } = state;
  switch (page.kind) {
    case "list":
      return listLines(state, size);
    case "details":
      return [titleLine(page.item.name, belowText(page.text), size), ...scrolledLines(page.text)];
    case "form":
    case "calling":
      return [
        titleLine(`Call ${page.item.name}`, page.kind === "calling" ? "" : "* is required", size),
        ...(page.kind === "calling"
          ? [[span(`calling ${size.symbols.ellipsis} Esc cancels it`, "warning")] satisfies Line]
          : [[]]),
        ...formLines(page.form, size, size.height - FORM_HEAD),
      ];
    case "answer":
      return answerLines(page, size);
  }
}

function titleLine(title: string, right: string, { width, symbols }: ScreenSize): Line {
  return spread([span(shownLine(title), "strong")], [span(right, "faint")], width, symbols.ellipsis);
}

function scrolledLines(text: Scroller): readonly Line[] {
  return shownLines(text).map((line): Line => [span(line)]);
}

function listLines(state: CatalogState, size: ScreenSize): readonly Line[] {
  const { items, found, at, failure, isSearching, query } = state;
  const { symbols, width, height } = size;
  const right = items === null ? "" : countText(state);
  const search =
    isSearching || query.text !== ""
      ? [span("Search: ", "accent"), ...textSpans(query, isSearching, size)]
      : [span("/ searches", "faint")];
  const head = spread(search, [span(right, "faint")], width, symbols.ellipsis);
  if (failure !== null) return [head, [], [span(`${symbols.error} ${failure}`, "bad")]];
  if (items === null) return [head, [], [span(symbols.ellipsis, "faint")]];
  if (found.length === 0) {
    const text = items.length === 0 ? "nothing is offered yet" : "nothing is like it; Esc shows all";
    return [head, [], [span(text, "faint")]];
  }
  const room = Math.max(1, height - LIST_HEAD);
  const shown = drawnRows(found, room, at, (item) => item);
  const names = columnWidth(shown, ({ name }) => name, Math.min(NAME_MAX, Math.floor(width / 3)));
  const backends = columnWidth(shown, ({ backend }) => backend, Math.min(BACKEND_MAX, Math.floor(width / 6)));
  return [head, [], ...shown.map((item) => itemLine(item, item === found[at], names, backends, size))];
}

function columnWidth(
  items: readonly CatalogItem[],
  textOf: (item: CatalogItem) => string,
  most: number,
): number {
  return Math.min(most, Math.max(1, ...items.map((item) => columns(shownLine(textOf(item))))));
}

function itemLine(
  item: CatalogItem,
  isChosen: boolean,
  names: number,
  backends: number,
  size: ScreenSize,
): Line {
  const { width, symbols } = size;
  const cut = (text: string, room: number): string =>
    padded(cutText(shownLine(text), room, symbols.ellipsis), room);
  const used = 2 + KIND_WIDTH + names + 2 + backends + 2;
  return [
    rowMark(isChosen, size),
    span(padded(item.kind, KIND_WIDTH), item.kind === "withheld" ? "warning" : "faint"),
    span(cut(item.name, names), isChosen ? "strong" : "plain"),
    span(`  ${cut(item.backend, backends)}  `, "faint"),
    span(cutText(shownLine(item.summary), Math.max(0, width - used), symbols.ellipsis)),
  ];
}

/** "12 of 5000", and how many entries the daemon has left out. */
function countText({ items, found, leftOut }: CatalogState): string {
  const all = items?.length ?? 0;
  const count = found.length === all ? String(all) : `${found.length} of ${all}`;
  return leftOut === 0 ? count : `${count}, ${leftOut} more left out: too many to be shown`;
}

function answerLines(page: Extract<CatalogPage, { kind: "answer" }>, size: ScreenSize): readonly Line[] {
  const { answer, item, tookMs, text } = page;
  const { symbols, width } = size;
  const how = answer.isGood ? "answered" : "failed";
  const mark = answer.isGood ? symbols.same : symbols.error;
  const cut = answer.cutOff === 0 ? "" : `${counted(answer.cutOff, "character")} cut off  `;
  return [
    spread(
      [span(`${mark} ${shownLine(item.name)} ${how} in ${tookMs} ms`, answer.isGood ? "good" : "bad")],
      [span(cut, "warning"), span(belowText(text), "faint")],
      width,
      symbols.ellipsis,
    ),
    ...scrolledLines(text),
  ];
}

export function catalogHints({ page, isSearching, query }: CatalogState, arrows: string): readonly string[] {
  switch (page.kind) {
    case "list":
      if (isSearching) return ["type to search", "Up/Down choose", "Enter done", "Esc done"];
      return [
        "/ search",
        "Enter details",
        "o on/off",
        ...(query.text === "" ? [] : ["Esc all"]),
        "r again",
        "q quit",
      ];
    case "details":
      return [...(page.item.kind === "tool" ? ["Enter call it"] : []), "Space more", "Esc back"];
    case "form":
      return ["Tab next", `Space/${arrows} choose`, "Ctrl-U leave out", "Ctrl-S call", "Esc back"];
    case "calling":
      return ["Esc cancel"];
    case "answer":
      return ["Space more", "Esc back to the form"];
  }
}
