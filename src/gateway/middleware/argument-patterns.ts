// Patterns over the arguments of a call. What allows must hold for all of a value, however it is read; what forbids, or
// asks, for any part and any reading of it.
import type { PolicyConfig } from "../../config/snapshot.ts";
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import { compileGlobs } from "../catalog/glob.ts";
import { isUnclear, otherSpellings } from "../catalog/uri-template.ts";
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
  return (given) => {
    // No server should take it; whoever does reads it in a way of its own.
    if (given !== undefined && given !== null && !isJsonObject(given)) return !allows;
    return each.every(({ name, fits }) => {
      const values = valuesOf(given, name, !allows);
      return allows ? values.length > 0 && values.every(fits) : values.some(fits);
    });
  };
}

/**
 * All that the name may mean, as nobody here knows which of them the server reads: an argument of that very name, and
 * where its steps lead; `intoLists`: also through the members of lists.
 */
function valuesOf(given: unknown, name: string, intoLists: boolean): readonly unknown[] {
  if (!isJsonObject(given)) return [];
  const steps = name.split(".");
  const within = steps.length === 1 ? [] : valuesWithin(given, steps, intoLists);
  return Object.hasOwn(given, name) ? [given[name], ...within] : within;
}

function valuesWithin(value: unknown, steps: readonly string[], intoLists: boolean): readonly unknown[] {
  const [step, ...further] = steps;
  if (step === undefined) return [value];
  if (Array.isArray(value)) {
    const members: readonly unknown[] = intoLists ? value.filter(isJsonObject) : [];
    return members.flatMap((member) => valuesWithin(member, steps, intoLists));
  }
  if (!isJsonObject(value) || !Object.hasOwn(value, step)) return [];
  return valuesWithin(value[step], further, intoLists);
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
