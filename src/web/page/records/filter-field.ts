// One field of a filter; what is typed holds once it rests.
import { type ComponentChild, h } from "preact";
import { useEffect, useState } from "preact/hooks";

/** A request for each letter would be too many. */
const RESTS_MS = 300;

interface FilterFieldProps {
  readonly id: string;
  readonly label: string;
  readonly onValue: (value: string) => void;
}

export function FilterField({ id, label, onValue }: FilterFieldProps): ComponentChild {
  const [typed, setTyped] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => onValue(typed.trim()), RESTS_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    h("input", {
      id,
      type: "search",
      autocomplete: "off",
      value: typed,
      onInput: (event: Event) => setTyped((event.target as HTMLInputElement).value),
    }),
  );
}
