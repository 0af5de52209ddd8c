// A form from a declaration: fields from a JSON Schema, and hidden fields, whose values are read at a submit and stored nowhere.
import { type ComponentChild, type ComponentChildren, h } from "preact";
import { useRef, useState } from "preact/hooks";
import { sentArguments } from "../../../api/forms/call-arguments.ts";
import { createNode, type FormNode, withNode, withValue } from "../../../api/forms/form-node.ts";
import { argumentsField } from "../../../api/forms/schema-fields.ts";
import { FieldView } from "../catalog/form-view.ts";
import type { ViewProps } from "../parts/app.ts";
import { line, row } from "../parts/elements.ts";
import { createFormStores, useFormStore } from "../parts/form-store.ts";
import { shown } from "../parts/text.ts";

interface HiddenField {
  readonly name: string;
  readonly about: string;
  readonly isRequired: boolean;
}

type Fields = Readonly<Record<string, { readonly description: string; readonly minLength?: number }>>;

/** The typed values until they are sent, without those of secrets. */
const TYPED = createFormStores<{ readonly root: FormNode }>();

interface DeclaredFormProps extends ViewProps {
  readonly label: string;
  /** The fields by label, each described by its JSON Schema. */
  readonly fields: Fields;
  /** The initial values, by label. */
  readonly begin?: Readonly<Record<string, unknown>>;
  readonly hidden?: readonly HiddenField[];
  readonly action: string;
  /**
   * Called at a submit. `hidden`: the filled hidden fields, by name. `clear` empties the other fields. Resolves with
   * true if the hidden fields are to be emptied.
   */
  readonly run: (
    values: Readonly<Record<string, unknown>>,
    hidden: ReadonlyMap<string, string>,
    clear: () => void,
  ) => Promise<boolean>;
  /** Behind the fields; its password fields are among the hidden ones. */
  readonly children?: ComponentChildren;
}

export function DeclaredForm({
  app,
  label,
  fields,
  begin = {},
  hidden = [],
  action,
  run,
  children,
}: DeclaredFormProps): ComponentChild {
  const empty = () => ({ root: filled(fields, begin) });
  const name = JSON.stringify([label, fields, begin]);
  const [{ root }, store] = useFormStore(TYPED, app.requests, empty, name);
  const [isTried, setTried] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (isBusy) return;
    const values = sentArguments({ root: store.get().root, raw: null });
    const inputs = [...(form.current?.querySelectorAll<HTMLInputElement>("input[type=password]") ?? [])];
    const typed = new Map(
      inputs.flatMap(({ name, value }) => (value === "" ? [] : [[name, value] as const])),
    );
    const lacks = hidden.some(({ name, isRequired }) => isRequired && !typed.has(name));
    setTried(values === null || lacks);
    if (values === null || lacks) return;
    setBusy(true);
    try {
      const clear = (): void => store.set(empty());
      if (await run(values, typed, clear)) for (const input of inputs) input.value = "";
    } finally {
      setBusy(false);
    }
  };
  return h(
    "form",
    {
      ref: form,
      class: "card plain form",
      "aria-label": label,
      autocomplete: "off",
      onSubmit: (event: Event) => void submit(event),
    },
    h(FieldView, {
      ...{ node: root, path: [], label, isTried, scope: label.replace(/\W+/g, "-") },
      onNode: (path, node) => store.set({ root: withNode(store.get().root, path, node) }),
    }),
    children,
    hidden.map((field) => hiddenField(field, isTried)),
    row(h("button", { type: "submit", class: "main", "aria-busy": isBusy }, action, isBusy ? " …" : "")),
  );
}

function hiddenField({ name, about, isRequired }: HiddenField, isTried: boolean): ComponentChild {
  const id = `hidden-${name.replace(/\W+/g, "-")}`;
  return h(
    "div",
    { key: name, class: "field" },
    h("label", { for: id }, shown(name), isRequired ? " (required)" : ""),
    h("p", { class: "hint", id: `${id}-about` }, shown(about)),
    // Uncontrolled, so that only the browser's own field holds the value.
    h("input", {
      ...{ id, name, type: "password", autocomplete: "new-password", spellcheck: false },
      "aria-describedby": `${id}-about`,
      "aria-required": isRequired,
    }),
    line("problem", isTried && isRequired ? `${name}: required` : null),
  );
}

/** `example`: shown in the field while it is empty. */
export function neededText(description = "", example = "") {
  return { type: "string", minLength: 1, description, examples: [example] };
}

export function optionalText(description: string, example = "") {
  return { type: "string", description, examples: [example] };
}

function filled(properties: Fields, begin: Readonly<Record<string, unknown>>): FormNode {
  const required = Object.keys(properties).filter((name) => properties[name]?.minLength === 1);
  const root = createNode(argumentsField({ type: "object", required, properties }));
  return withValue(root, begin) ?? root;
}

/** The text of a field; "" where it was left out. */
export function textIn(values: Readonly<Record<string, unknown>>, name: string): string {
  const value = values[name];
  return typeof value === "string" ? value.trim() : "";
}
