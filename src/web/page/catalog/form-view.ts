// The form of a tool's arguments, drawn from its fields.
import { type ComponentChild, h } from "preact";
import { shown } from "../parts/text.ts";
import type { Draft, FormField, FormMistake } from "./schema-form.ts";

export interface FormProps {
  readonly field: FormField;
  readonly draft: Draft;
  readonly mistakes: readonly FormMistake[];
  readonly onDraft: (draft: Draft) => void;
}

/** A field with its label, its description and what is wrong with it. */
export function FieldView(props: FormProps): ComponentChild {
  const { field, mistakes } = props;
  if (field.kind === "group") return h(GroupView, props);
  if (field.kind === "list") return h(ListView, props);
  const id = `argument-${field.path || "all"}`;
  const mistake = mistakes.find(({ path }) => path === field.path);
  const told = [
    ...(field.description === null ? [] : [`${id}-about`]),
    ...(mistake === undefined ? [] : [`${id}-mistake`]),
  ].join(" ");
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, shown(field.label), field.required ? " (required)" : ""),
    field.description === null
      ? null
      : h("p", { class: "hint", id: `${id}-about` }, shown(field.description.slice(0, 600))),
    h(Control, { ...props, id, told, wrong: mistake !== undefined }),
    mistake === undefined
      ? null
      : h("p", { class: "problem", id: `${id}-mistake` }, `${shown(field.label)} ${mistake.text}`),
  );
}

interface ControlProps extends FormProps {
  readonly id: string;
  /** Ids of what describes it. */
  readonly told: string;
  readonly wrong: boolean;
}

function Control({ field, draft, onDraft, id, told, wrong }: ControlProps): ComponentChild {
  const value = draft[field.path] ?? "";
  const put = (event: Event): void => {
    const { value: typed } = event.target as HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;
    onDraft({ ...draft, [field.path]: typed });
  };
  const shared = {
    id,
    value,
    "aria-invalid": wrong,
    ...(told === "" ? {} : { "aria-describedby": told }),
    ...(field.required ? { "aria-required": true } : {}),
  };
  switch (field.kind) {
    case "number":
      return h("input", { ...shared, type: "text", inputMode: "decimal", onInput: put });
    case "flag":
      return h(
        "select",
        { ...shared, onChange: put },
        h("option", { value: "" }, field.required ? "false" : "left out"),
        h("option", { value: "true" }, "true"),
        field.required ? null : h("option", { value: "false" }, "false"),
      );
    case "choice":
      return h(
        "select",
        { ...shared, onChange: put },
        h("option", { value: "" }, field.required ? "choose one" : "left out"),
        field.choices.map((choice, index) =>
          h(
            "option",
            { key: index, value: JSON.stringify(choice) },
            shown(typeof choice === "string" ? choice : JSON.stringify(choice)),
          ),
        ),
      );
    case "json":
      return h("textarea", {
        ...shared,
        rows: 4,
        spellcheck: false,
        placeholder: `JSON: ${field.why}`,
        onInput: put,
      });
    default:
      // A line grows with what is typed into it, where the browser can do that.
      return h("textarea", {
        ...shared,
        rows: value.includes("\n") ? 4 : 1,
        spellcheck: false,
        onInput: put,
      });
  }
}

function GroupView({ field, draft, mistakes, onDraft }: FormProps): ComponentChild {
  if (field.kind !== "group") return null;
  const inner = field.fields.map((each) =>
    h(FieldView, { key: each.path, field: each, draft, mistakes, onDraft }),
  );
  if (field.path === "")
    return h(
      "div",
      { class: "form" },
      inner.length === 0 ? h("p", { class: "hint" }, "It takes no arguments.") : inner,
    );
  return h(
    "fieldset",
    {},
    h("legend", {}, shown(field.label), field.required ? " (required)" : ""),
    field.description === null ? null : h("p", { class: "hint" }, shown(field.description.slice(0, 600))),
    inner,
  );
}

function ListView({ field, draft, mistakes, onDraft }: FormProps): ComponentChild {
  if (field.kind !== "list") return null;
  const count = Number(draft[field.path] ?? 0);
  const resize = (next: number): void => {
    // What stood in an item that is taken away must not come back with the next one.
    const kept = Object.entries(draft).filter(
      ([path]) =>
        next >= count || !(path === `${field.path}.${next}` || path.startsWith(`${field.path}.${next}.`)),
    );
    onDraft({ ...Object.fromEntries(kept), [field.path]: String(next) });
  };
  const name = shown(field.label);
  return h(
    "fieldset",
    {},
    h("legend", {}, name, field.required ? " (required)" : ""),
    field.description === null ? null : h("p", { class: "hint" }, shown(field.description.slice(0, 600))),
    Array.from({ length: count }, (_, index) =>
      h(FieldView, { key: index, field: field.item(index), draft, mistakes, onDraft }),
    ),
    h(
      "div",
      { class: "row" },
      h(
        "button",
        { type: "button", disabled: count >= field.most, onClick: () => resize(count + 1) },
        `Add to ${name}`,
      ),
      count === 0
        ? null
        : h("button", { type: "button", onClick: () => resize(count - 1) }, `Remove the last of ${name}`),
    ),
  );
}
