// Values of the configuration as text, for printing.
import type { ConfigValue } from "../../config/edit/edit-value.ts";
import { tomlValue } from "../../config/edit/toml-value.ts";

/** A text bare, everything else as TOML writes it. */
export function valueText(value: ConfigValue): string {
  return typeof value === "string" ? value : tomlValue(value);
}

/** JSON with a newline at its end; whole numbers that JSON's readers would round are texts. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(
    value,
    (_, part: unknown) => {
      if (typeof part !== "bigint") return part;
      return Number.isSafeInteger(Number(part)) ? Number(part) : String(part);
    },
    2,
  );
  return `${text}\n`;
}
