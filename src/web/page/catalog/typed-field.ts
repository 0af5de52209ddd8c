// What a browser's field holds, as the form has it. Pure.
import type { FormNode } from "../../../api/forms/form-node.ts";

/** What the browser's field shows: of a flag or a choice its JSON, "" where it is left out. */
export function typedValue({ field: { of }, isSet, text, at }: FormNode): string {
  if (!isSet) return "";
  if (of.kind === "flag") return String(at === 1);
  return of.kind === "choice" ? JSON.stringify(of.choices[at]) : text;
}

/** With what was typed or chosen. An emptied field is left out, but for a required text, which may be empty. */
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
