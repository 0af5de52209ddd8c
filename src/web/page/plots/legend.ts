// What the colours of a plot mean.
import { type ComponentChild, h } from "preact";

interface LegendEntry {
  /** A class of the styles. */
  readonly ink: string;
  readonly text: string;
}

/** Each text once. */
export function legend(entries: readonly LegendEntry[]): ComponentChild {
  const different = new Map(entries.map((entry) => [entry.text, entry.ink]));
  return h(
    "ul",
    { class: "legend" },
    [...different].map(([text, ink]) =>
      h(
        "li",
        { key: text },
        h(
          "svg",
          { viewBox: "0 0 10 10", "aria-hidden": true, class: `ink ${ink}` },
          h("rect", { width: 10, height: 10, rx: 2 }),
        ),
        text,
      ),
    ),
  );
}
