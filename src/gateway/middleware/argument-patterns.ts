// Patterns over the arguments of a call. What allows must hold for all of a value, however it is read; what forbids, or
// asks, for any part and any reading of it.
import type { PolicyConfig } from "../../config/snapshot.ts";
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import { compileGlobs } from "../catalog/glob.ts";
import { isUnclear, otherSpellings } from "../catalog/uri-spelling.ts";
import { isJsonObject } from "../json-rpc.ts";

/** Of one list: more are not looked at, and so allow nothing and forbid what they might be. */
const MOST_VALUES = 1_000;
const LONGEST_VALUE = 16 * 1024;

/** Tells the arguments of a call that fit; `allows`: whether the policy's effect is to allow. */
export function compileArguments(
  patterns: NonNullable<PolicyConfig["arguments"]>,
  allows: boolean,
): (given: unknown) => boolean {
  const each = Object.entries(patterns).map(([name, globs]) => ({ name, fits: compileValue(globs, allows) }));
  return (given) => each.every(({ name, fits }) => fits(givenAt(given, name)));
}

/** An argument of that very name, else the value that its steps lead to; undefined: there is none. */
function givenAt(given: unknown, name: string): unknown {
  if (!isJsonObject(given)) return undefined;
  if (Object.hasOwn(given, name)) return given[name];
  let value: unknown = given;
  for (const step of name.split(".")) {
    if (!isJsonObject(value) || !Object.hasOwn(value, step)) return undefined;
    value = value[step];
  }
  return value;
}

function compileValue(globs: readonly string[], allows: boolean): (value: unknown) => boolean {
  const matches = compileGlobs(globs);
  const isPath = globs.some((glob) => /[/\\]/.test(glob));
  const isAnything = globs.includes("*");
  const fitsText = (text: string): boolean => {
    if (isAnything) return true;
    if (text.length > LONGEST_VALUE) return !allows;
    if (!isPath) return matches(text);
    if (isUnclear(text)) return !allows;
    const readings = [text, ...otherSpellings(text)];
    return allows ? readings.every(matches) : readings.some(matches);
  };
  const fits = (value: unknown): boolean => {
    if (value === undefined) return false;
    if (typeof value === "string") return fitsText(value);
    if (value === null || typeof value === "number" || typeof value === "boolean")
      return fitsText(String(value));
    if (isRawNumber(value)) return fitsText(value.rawJSON);
    if (!Array.isArray(value)) return isAnything || !allows;
    if (value.length > MOST_VALUES) return isAnything || !allows;
    return allows ? value.length > 0 && value.every(fits) : value.some(fits);
  };
  return fits;
}
