// Writes values in TOML. Keeps the quotes of the replaced value if they can hold the new one.
import { type ConfigTable, type ConfigValue, isTableValue } from "./edit-value.ts";

const BARE_KEY = /^[A-Za-z0-9_-]+$/;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\f": "\\f",
  "\r": "\\r",
};

function basic(text: string): string {
  return text.replaceAll(/["\\\p{Cc}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return ESCAPES[character] ?? `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

function stringText(text: string, before: string | null): string {
  const literal = !/['\p{Cc}]/u.test(text);
  if (before?.startsWith("'''") === true && literal) return `'''${text}'''`;
  if (before?.startsWith('"""') === true) return `"""${basic(text)}"""`;
  if (before?.startsWith("'") === true && literal) return `'${text}'`;
  return `"${basic(text)}"`;
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  // An integer beyond 64 bits is not valid TOML; a number with an exponent is.
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? value.toExponential() : String(value);
}

/** One segment of a key, in quotes if TOML requires them. */
export function tomlKey(name: string): string {
  return BARE_KEY.test(name) ? name : `"${basic(name)}"`;
}

export function tomlDottedKey(names: readonly (string | number)[]): string {
  return names.map((name) => tomlKey(String(name))).join(".");
}

/** Returns the value as TOML on one line. If possible, it gets the quotes of `before`, the text that it replaces. */
export function tomlValue(value: ConfigValue, before: string | null = null): string {
  if (typeof value === "string") return stringText(value, before);
  if (typeof value === "number") return numberText(value);
  if (typeof value !== "object") return String(value);
  if (!isTableValue(value)) return `[${value.map((part) => tomlValue(part)).join(", ")}]`;
  const entries = Object.entries(value).map(([key, part]) => `${tomlKey(key)} = ${tomlValue(part)}`);
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}

export function tomlLines(table: ConfigTable): string[] {
  return Object.entries(table).map(([key, value]) => `${tomlKey(key)} = ${tomlValue(value)}`);
}
