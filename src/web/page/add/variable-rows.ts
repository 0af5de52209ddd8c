// One row for each variable or header. The value of a secret one is only in the browser's own field.
import { type ComponentChild, h } from "preact";
import { useRef } from "preact/hooks";
import { MountaineerError } from "../../../runtime/errors.ts";
import type { ViewProps } from "../parts/app.ts";
import { row } from "../parts/elements.ts";
import { createFormStores, useFormStore } from "../parts/form-store.ts";

/** `id`: used once in a form; `value`: "" for a secret. */
const EMPTY = { id: 0, name: "", value: "", isSecret: false };
const NO_ROWS = { rows: [] as readonly (typeof EMPTY)[] };
const ROWS = createFormStores<typeof NO_ROWS>();

export function variableRows(app: ViewProps["app"]) {
  return ROWS.storeOf(app.requests, "", () => NO_ROWS);
}

export function VariableRows({ app }: ViewProps): ComponentChild {
  const [{ rows }, store] = useFormStore(ROWS, app.requests, () => NO_ROWS);
  const put = (id: number, to: Partial<typeof EMPTY>): void =>
    store.set({ rows: store.get().rows.map((one) => (one.id === id ? { ...one, ...to } : one)) });
  /** The row that was just added, whose name is typed next; null: none. */
  const added = useRef<number | null>(null);
  const add = (): void => {
    added.current = Math.max(0, ...rows.map(({ id }) => id)) + 1;
    store.set({ rows: [...rows, { ...EMPTY, id: added.current }] });
  };
  const drawn = rows.map(({ id, name, value, isSecret }, at) => {
    const field = `row-${id}`;
    const label = (what: string) => ({ "aria-label": `${what} ${at + 1}` });
    const on = (change: (input: HTMLInputElement) => Partial<typeof EMPTY>) => (event: Event) =>
      put(id, change(event.target as HTMLInputElement));
    const type = isSecret ? "password" : "text";
    return h(
      "div",
      { key: id, class: "variable-row", role: "group", ...label("Variable or header") },
      h("input", {
        ...label("Name"),
        ref: (input: HTMLInputElement | null) => {
          if (input === null || added.current !== id) return;
          added.current = null;
          input.focus();
        },
        value: name,
        placeholder: "TOKEN",
        onInput: on((input) => ({ name: input.value })),
      }),
      h("input", {
        ...{ ...label("Value"), name: field, type, defaultValue: value, autocomplete: "new-password" },
        onInput: on((input) => ({ value: isSecret ? "" : input.value })),
      }),
      h(
        "label",
        {},
        h("input", {
          ...{ ...label("Secret"), type: "checkbox", checked: isSecret },
          onChange: on(({ checked, form }) => {
            const typed = form?.elements.namedItem(field) as HTMLInputElement;
            return { isSecret: checked, value: checked ? "" : typed.value };
          }),
        }),
        " Secret",
      ),
      h(
        "button",
        {
          ...label("Remove"),
          type: "button",
          class: "quiet",
          onClick: () => store.set({ rows: rows.filter((one) => one.id !== id) }),
        },
        "Remove",
      ),
    );
  });
  const about = "Text, ${VARIABLE} or secret:NAME. A secret is kept outside of the configuration.";
  return h(
    "fieldset",
    {},
    h("legend", {}, "Variables or headers"),
    h("p", { class: "hint" }, about),
    drawn,
    row(h("button", { type: "button", onClick: add }, "Add a variable or header")),
  );
}

/** `hidden`: the values of secret rows, by field. Throws `usage` for half a row. */
export function typedRows(app: ViewProps["app"], hidden: ReadonlyMap<string, string>) {
  return variableRows(app)
    .get()
    .rows.flatMap(({ id, name, value: open, isSecret }) => {
      const value = isSecret ? (hidden.get(`row-${id}`) ?? "") : open.trim();
      if (name.trim() !== "" && (value !== "" || !isSecret)) return [{ name: name.trim(), value, isSecret }];
      if (name.trim() === "" && value === "") return [];
      throw new MountaineerError(
        "usage",
        name === "" ? "a value has no name" : `${name}: its secret is missing`,
      );
    });
}
