// What can be written at a place of the configuration, by its schema. Pure.
import { keyAt } from "./key-at.ts";
import { hintOf, type KeyHint } from "./schema-hint.ts";

export interface Offer {
  readonly label: string;
  /** In place of what is typed. */
  readonly apply: string;
  readonly hint: KeyHint;
}

export interface Offers {
  /** How much of the end of `before` they replace. */
  readonly typed: number;
  readonly offers: readonly Offer[];
}

const TOML_HEADER = /^\s*\[\[?\s*((?:[\w-]+\.)*)([\w-]*)$/;
const KEY = /^\s*(?:-\s+)*([\w-]*)$/;
const VALUE = /[=:]\s*("?[\w-]*)$/;
/** Stand for a key that is not written yet. */
const ANY = { toml: "_ =", yaml: "_:" };

/** `above`: whole lines; `before`: the line up to the cursor. */
export function offersAt(schema: unknown, above: string, before: string, format: "toml" | "yaml"): Offers {
  const of = (
    parent: readonly string[],
    typed: string,
    apply: (hint: KeyHint, key: string) => string | null,
  ) => {
    const offers = (hintOf(schema, parent)?.keys ?? []).flatMap((label): Offer[] => {
      const hint = hintOf(schema, [...parent, label]);
      const text = hint === null ? null : apply(hint, label);
      return hint === null || text === null ? [] : [{ label, apply: text, hint }];
    });
    return { typed: typed.length, offers };
  };
  const [header, parents = "", part = ""] = (format === "toml" && TOML_HEADER.exec(before)) || [];
  if (header !== undefined)
    return of(parents.split(".").slice(0, -1), part, ({ kind }, key) =>
      kind === "section" || kind === "items" ? key : null,
    );
  const word = KEY.exec(before)?.[1];
  if (word !== undefined) {
    const text = `${above}${before.slice(0, before.length - word.length)}${ANY[format]}`;
    const parent = keyAt(text, text.length, format).slice(0, -1);
    return of(parent, word, ({ kind, keys }, key) => {
      if (format === "yaml") return `${key}:${kind === "value" ? " " : ""}`;
      if (kind === "value") return `${key} = `;
      if (parent.length > 0) return null;
      if (kind === "items") return `[[${key}]]`;
      return keys.length === 0 ? `[${key}.` : `[${key}]`;
    });
  }
  const value = VALUE.exec(before)?.[1];
  const hint =
    value === undefined ? null : hintOf(schema, keyAt(above + before, above.length + before.length, format));
  if (value === undefined || hint === null) return { typed: 0, offers: [] };
  const offers = hint.choices.map((choice) => ({ label: choice, apply: choice, hint }));
  return { typed: value.length, offers };
}
