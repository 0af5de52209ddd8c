// A form drawn from the fields of a JSON Schema.
import { type ComponentChild, h } from "preact";
import {
  createNode,
  type FormNode,
  type FormPath,
  ITEM_LIMIT,
  mistakeAt,
  numberText,
  withItems,
} from "../../../api/forms/form-node.ts";
import { row, withCode } from "../parts/elements.ts";
import { shown } from "../parts/text.ts";

export interface FormProps {
  readonly node: FormNode;
  readonly path: FormPath;
  readonly label: string;
  /** True after a failed attempt to send: every field shows its error. */
  readonly isTried: boolean;
  /** Prefix of the fields' ids, which differs between the forms of one view. */
  readonly scope?: string;
  readonly onNode: (path: FormPath, node: FormNode) => void;
}

export function FieldView(props: FormProps): ComponentChild {
  const { node, path, isTried, scope = "argument" } = props;
  const { of, about, isRequired } = node.field;
  if (of.kind === "group" && path.length === 0)
    return h(
      "div",
      { class: "form" },
      of.fields.length === 0 ? h("p", { class: "hint" }, "It takes no arguments.") : h(Children, props),
    );
  const id = `${scope}-${path.join("-")}`;
  const text = isTried ? mistakeAt(node) : null;
  const hint =
    about === "" ? null : h("p", { class: "hint", id: `${id}-about` }, withCode(about.slice(0, 600)));
  const mistake =
    text === null
      ? null
      : h("p", { class: "problem", id: `${id}-mistake` }, `${shown(props.label)}: ${text}`);
  const label = [shown(props.label), isRequired && !hasDefault(node) ? " (required)" : ""];
  if (of.kind === "group" || of.kind === "list")
    return h("fieldset", {}, h("legend", {}, label), hint, h(Children, props), mistake, h(Buttons, props));
  const parts = [hint === null ? [] : `${id}-about`, mistake === null ? [] : `${id}-mistake`].flat();
  const shared = {
    id,
    "aria-invalid": mistake !== null,
    "aria-describedby": parts.length === 0 ? undefined : parts.join(" "),
    "aria-required": isRequired ? true : undefined,
  };
  return h("div", { class: "field" }, h("label", { for: id }, label), hint, control(props, shared), mistake);
}

function control({ node, path, onNode }: FormProps, shared: object): ComponentChild {
  const { of, isRequired } = node.field;
  const put = (event: Event): void => {
    const { value } = event.target as HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;
    onNode(path, typedInto(node, value));
  };
  const value = typedValue(node);
  const typed = { ...shared, value, spellcheck: false, placeholder: placeholder(node), onInput: put };
  switch (of.kind) {
    case "number":
      return h("input", { ...typed, type: "text", inputMode: "decimal" });
    case "flag":
    case "choice": {
      if (of.kind === "flag" && isRequired && hasDefault(node)) {
        const onChange = ({ target }: Event): void =>
          onNode(path, typedInto(node, String((target as HTMLInputElement).checked)));
        return h("input", { ...shared, type: "checkbox", checked: node.at === 1, onChange });
      }
      const choices = of.kind === "flag" ? [true, false] : of.choices;
      return h(
        "select",
        { ...shared, value, onChange: put },
        isRequired && node.isSet && hasDefault(node)
          ? null
          : h("option", { value: "" }, isRequired ? "choose one" : leftOut(node)),
        choices.map((choice) => {
          const json = JSON.stringify(choice);
          return h("option", { key: json, value: json }, shown(typeof choice === "string" ? choice : json));
        }),
      );
    }
    default:
      // The style sheet lets a one-line field grow with its text, in browsers that support it.
      return h("textarea", { ...typed, rows: of.kind === "json" || value.includes("\n") ? 4 : 1 });
  }
}

function placeholder(node: FormNode): string {
  const { of, isRequired, example } = node.field;
  if (example !== undefined) return shown(example.slice(0, 200));
  const kind = of.kind === "number" ? numberText(of) : of.kind === "json" ? `JSON: ${of.why}` : "";
  return [kind, isRequired || !hasDefault(node) ? "" : leftOut(node)]
    .filter((part) => part !== "")
    .join("; ");
}

/** The text for a value that is left out. The server applies the default. */
function leftOut(node: FormNode): string {
  if (!hasDefault(node)) return "left out";
  return shown(`default ${(JSON.stringify(node.field.byDefault) ?? "").slice(0, 200)}`);
}

function hasDefault({ field }: FormNode): boolean {
  return Object.hasOwn(field, "byDefault") && field.byDefault !== null;
}

function Children({ node, path, label, ...rest }: FormProps): ComponentChild {
  if (!node.isSet) return null;
  const isList = node.field.of.kind === "list";
  return node.children.map((child, index) =>
    h(FieldView, {
      ...rest,
      key: index,
      node: child,
      path: [...path, index],
      label: isList ? `${label} ${index + 1}` : child.label,
    }),
  );
}

/** Buttons that lengthen and shorten a list, and that add or leave out an optional object. */
function Buttons({ node, path, label, onNode }: FormProps): ComponentChild {
  const { of, isRequired } = node.field;
  const { children, isSet } = node;
  const name = shown(label);
  const button = (text: string, next: FormNode, disabled = false): ComponentChild =>
    h("button", { type: "button", disabled, onClick: () => onNode(path, next) }, text);
  if (of.kind === "group") {
    if (isRequired) return null;
    return row(
      isSet
        ? button(`Leave out ${name}`, createNode(node.field, node.label))
        : button(`Fill in ${name}`, { ...node, isSet: true }),
    );
  }
  if (of.kind !== "list") return null;
  const shorter = withItems(node, children.slice(0, -1));
  const isOut = shorter.children.length === 0 && !isRequired;
  return row(
    button(
      `Add to ${name}`,
      withItems(node, [...children, createNode(of.item)]),
      children.length >= Math.min(of.most, ITEM_LIMIT),
    ),
    children.length === 0 ? null : button(`Remove the last of ${name}`, { ...shorter, isSet: !isOut }),
  );
}

/** Returns a field's value as text: the JSON of a flag or a choice, and "" for a field that is left out. */
export function typedValue({ field: { of }, isSet, text, at }: FormNode): string {
  if (!isSet) return "";
  if (of.kind === "flag") return String(at === 1);
  return of.kind === "choice" ? JSON.stringify(of.choices[at]) : text;
}

/** The node with the typed or chosen value. An emptied field is left out, but a required text may be empty. */
export function typedInto(node: FormNode, value: string): FormNode {
  const { of, isRequired } = node.field;
  switch (of.kind) {
    case "flag":
      return { ...node, isSet: value !== "", at: value === "true" ? 1 : 0 };
    case "choice": {
      const at = of.choices.findIndex((choice) => JSON.stringify(choice) === value);
      return { ...node, isSet: at !== -1, at: Math.max(at, 0) };
    }
    default:
      return { ...node, text: value, isSet: value !== "" || (of.kind === "text" && isRequired) };
  }
}
