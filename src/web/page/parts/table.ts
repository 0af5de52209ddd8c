// A table; on a phone each row is a block. A row that has a card opens to it by a click anywhere, or by its name's button.
import { type ComponentChild, Fragment, h } from "preact";
import { useState } from "preact/hooks";
import { line } from "./elements.ts";

export interface TableRow {
  readonly key: string;
  /** The first one is the row's header. */
  readonly cells: readonly ComponentChild[];
  /** The name of the button that opens it; absent: the header, which no other row has. */
  readonly accessibleName?: string;
  /** What the row opens to. */
  readonly card?: () => ComponentChild;
}

interface TableProps {
  readonly label: string;
  readonly titles: readonly string[];
  readonly rows: readonly TableRow[];
  /** How many rows are drawn at most. */
  readonly most?: number;
  /** The row that is open, if the view remembers it; absent: the table does. */
  readonly opened?: readonly [key: string | null, open: (key: string | null) => void];
}

/** Among more rows, a search is faster than scrolling. */
const MOST_SHOWN = 200;

export function Table({ label, titles, rows, most = MOST_SHOWN, opened }: TableProps): ComponentChild {
  const own = useState<string | null>(null);
  const [open, setOpen] = opened ?? own;
  const heads = titles.map((title) => h("th", { key: title, scope: "col" }, title));
  const drawn = rows.slice(0, most).map(({ key, cells: [name, ...facts], accessibleName, card }) => {
    const isOpen = open === key;
    const toggle = (): void => setOpen(isOpen ? null : key);
    // Ignores clicks on buttons in the cells, and on text that a person selects.
    const onRow = ({ target }: Event): void => {
      if ((target as Element).closest("button, a") === null && getSelection()?.isCollapsed !== false)
        toggle();
    };
    const state = { "aria-expanded": isOpen, "aria-label": accessibleName };
    const opener = { type: "button", class: "opener", ...state, onClick: toggle };
    return h(
      Fragment,
      { key },
      h(
        "tr",
        card === undefined ? {} : { class: "opens", onClick: onRow },
        h("th", { scope: "row" }, card === undefined ? name : h("button", opener, name)),
        facts.map((cell, at) => h("td", { key: at, "data-title": titles[at + 1] }, cell)),
      ),
      isOpen && card !== undefined
        ? h("tr", { class: "opened" }, h("td", { colSpan: titles.length }, card()))
        : null,
    );
  });
  // Keyboard users can scroll it; buttons in it have the focus for that already.
  const tabIndex = rows.some(({ card }) => card !== undefined) ? undefined : 0;
  return [
    h(
      "div",
      { class: "table", tabIndex, role: "region", "aria-label": label },
      h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, drawn)),
    ),
    line("hint", rows.length > most ? `${rows.length - most} more: search for them.` : null),
  ];
}
