// Writes values in YAML, on one line, in the quotes that were there if these can hold the value.
import { type ConfigTable, type ConfigValue, isTableValue } from "./edit-value.ts";

/** How a scalar stands in the text now; null for a new one. */
export type YamlQuotes = "plain" | "single" | "double" | null;

// Text is quoted if YAML 1.1 or 1.2 could read it as another type, or if it has a special character.
const PLAIN = /^[\p{L}_/~$][\p{L}\p{N}_/~$.:@%+{} -]*$/u;
const SPECIAL_WORD = /^(?:~|null|true|false|yes|no|on|off|y|n)$/i;
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\ufeff\ufffe\uffff]/u;

function isPlain(text: string, inFlow: boolean): boolean {
  if (text === "" || SPECIAL_WORD.test(text) || /: |:$| $| #/.test(text)) return false;
  if (inFlow && /[{},]/.test(text)) return false;
  return PLAIN.test(text) || /^\d{1,3}(\.\d{1,3}){3}$/.test(text);
}

function doubleQuoted(text: string): string {
  return JSON.stringify(text).replaceAll(
    /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function stringText(text: string, quotes: YamlQuotes, inFlow: boolean): string {
  if (quotes === "single" && !UNPRINTABLE.test(text)) return `'${text.replaceAll("'", "''")}'`;
  if (quotes !== "double" && quotes !== "single" && isPlain(text, inFlow)) return text;
  return doubleQuoted(text);
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return ".nan";
  if (!Number.isFinite(value)) return value > 0 ? ".inf" : "-.inf";
  return String(value);
}

/** A value for a line of its own (`inFlow` false) or for between brackets. */
export function yamlValue(value: ConfigValue, quotes: YamlQuotes, inFlow: boolean): string {
  if (typeof value === "string") return stringText(value, quotes, inFlow);
  if (typeof value === "number") return numberText(value);
  if (typeof value !== "object") return String(value);
  if (!isTableValue(value)) return `[${value.map((part) => yamlValue(part, null, true)).join(", ")}]`;
  return `{${yamlPairs(value, true).join(", ")}}`;
}

/** `key: value` for each key. */
export function yamlPairs(table: ConfigTable, inFlow: boolean): string[] {
  return Object.entries(table).map(
    ([key, value]) => `${yamlKey(key, inFlow)}: ${yamlValue(value, null, inFlow)}`,
  );
}

export function yamlKey(name: string | number, inFlow: boolean): string {
  return stringText(String(name), null, inFlow);
}
