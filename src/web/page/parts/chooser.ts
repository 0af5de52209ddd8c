// A list of which one item is chosen: one Tab stop, with arrow keys inside (roving focus).
import { type ComponentChild, type ComponentChildren, h } from "preact";
import { useRef } from "preact/hooks";
import { line } from "./elements.ts";

interface ChooserProps<Item> {
  readonly label: string;
  readonly items: readonly Item[];
  readonly keyOf: (item: Item) => string;
  readonly chosen: string | null;
  readonly choose: (key: string) => void;
  readonly draw: (item: Item) => ComponentChildren;
}

/** Maximum number of items drawn; among more, a search is faster than scrolling. */
const MOST_SHOWN = 200;

const STEPS: Readonly<Record<string, number>> = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: 10,
  PageUp: -10,
  Home: Number.NEGATIVE_INFINITY,
  End: Number.POSITIVE_INFINITY,
};

export function Chooser<Item>({
  label,
  items: all,
  keyOf,
  chosen,
  choose,
  draw,
}: ChooserProps<Item>): ComponentChild {
  const list = useRef<HTMLUListElement>(null);
  const items = all.slice(0, MOST_SHOWN);
  const index = items.findIndex((item) => keyOf(item) === chosen);
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = Math.min(items.length - 1, Math.max(0, (index === -1 ? 0 : index) + step));
    const item = items[next];
    if (item === undefined) return;
    choose(keyOf(item));
    const option = list.current?.children[next];
    if (option instanceof HTMLElement) {
      option.focus();
      option.scrollIntoView({ block: "nearest" });
    }
  };
  const listbox = h(
    "ul",
    { ref: list, class: "chooser", role: "listbox", "aria-label": label, onKeyDown },
    items.map((item, at) => {
      const key = keyOf(item);
      return h(
        "li",
        {
          key,
          role: "option",
          "aria-selected": key === chosen,
          tabIndex: key === chosen || (index === -1 && at === 0) ? 0 : -1,
          onClick: () => choose(key),
          onKeyDown: (event: KeyboardEvent) => {
            if (event.key === "Enter" || event.key === " ") {
              event.preventDefault();
              choose(key);
            }
          },
        },
        draw(item),
      );
    }),
  );
  return [
    listbox,
    line("hint", all.length > MOST_SHOWN ? `${all.length - MOST_SHOWN} more: search for them.` : null),
  ];
}
