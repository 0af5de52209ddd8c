// The parts of a panel, one of them open, with the buttons that choose it.
import { type ComponentChild, h } from "preact";

type PanelPart = readonly [title: string, draw: () => ComponentChild];

/** `open`: the chosen part, in small letters; null, or one that is not there: the first one. */
export function panelParts(
  name: string,
  parts: readonly PanelPart[],
  open: string | null,
  onPart: (part: string) => void,
): ComponentChild {
  const chosen = parts.find(([title]) => title.toLowerCase() === open) ?? parts[0];
  return [
    h(
      "div",
      { key: "parts", class: "parts", role: "group", "aria-label": `Parts of ${name}` },
      parts.map((part) => {
        const [title] = part;
        return h(
          "button",
          {
            ...{ key: title, type: "button", "aria-label": `${title}: ${name}` },
            ...{ "aria-pressed": part === chosen, onClick: () => onPart(title.toLowerCase()) },
          },
          title,
        );
      }),
    ),
    h("div", { key: chosen?.[0], class: "part" }, chosen?.[1]()),
  ];
}
