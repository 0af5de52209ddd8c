// The values that an edit may write, and the checks before one reaches a file.
import { MountaineerError } from "../../runtime/errors.ts";
import { type KeyPath, pathText } from "../values/mistakes.ts";

/** A value that TOML and YAML both can hold. */
export type ConfigValue =
  | string
  | number
  | bigint
  | boolean
  | readonly ConfigValue[]
  | { readonly [key: string]: ConfigValue };

export type ConfigTable = { readonly [key: string]: ConfigValue };

const DEEPEST_VALUE = 16;
const LONGEST_TEXT = 64 * 1024;

export function isTableValue(value: ConfigValue): value is ConfigTable {
  return typeof value === "object" && !Array.isArray(value);
}

function refusal(why: string): MountaineerError {
  return new MountaineerError("usage", `the value cannot be written: ${why}`);
}

/**
 * Throws `usage` for a value that cannot be written: one with half a character (a lone surrogate) or NUL, one that is
 * too long, or nested too deeply.
 */
export function assertWritable(value: ConfigValue, levels = DEEPEST_VALUE): void {
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw refusal("it has half a character");
    if (value.includes("\0")) throw refusal("it has a NUL character");
    if (value.length > LONGEST_TEXT) throw refusal("it is too long");
    return;
  }
  if (typeof value !== "object") return;
  if (levels === 0) throw refusal("it is nested too deeply");
  for (const [key, part] of Object.entries(value)) {
    assertWritable(key);
    assertWritable(part, levels - 1);
  }
}

/** The path in backticks, as messages show it: `shares[1].driver`. */
export function keyName(path: KeyPath): string {
  return `\`${pathText(path)}\``;
}

/** A parsed value in a form that can be written; null if there is none. */
export function plain(value: unknown): ConfigValue | null {
  if (Array.isArray(value)) return value.map((part) => plain(part) ?? "");
  if (value instanceof Date) return value.toISOString();
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return value;
    case "object": {
      if (value === null) return null;
      return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part) ?? ""]));
    }
    default:
      return null;
  }
}
