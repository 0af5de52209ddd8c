// Patterns for the arguments of a call. A policy that allows must match the whole value in every spelling; a policy
// that forbids or asks applies if any part of the value matches in any spelling.

import type { PolicyConfig } from "../../config/snapshot.ts";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import { type CallTexts, textsOfCall } from "../catalog/call-texts.ts";
import { compileGlobs } from "../catalog/glob.ts";
import { isJsonObject, MOST_LEVELS } from "../json-rpc.ts";

/** `allows`: the policy's effect is to allow. */
export function compileArguments(
  patterns: NonNullable<PolicyConfig["arguments"]>,
  allows: boolean,
): (given: unknown) => boolean {
  const each = Object.entries(patterns).map(([name, globs]) => ({ name, fits: compileValue(globs, allows) }));
  return (given) => {
    // Arguments that are not an object are invalid, and a server may read them in any way.
    if (given !== undefined && given !== null && !isJsonObject(given)) return !allows;
    const texts = textsOfCall(given);
    return each.every(({ name, fits }) => {
      const values = valuesOf(given, name, !allows);
      const fitsOne = (value: unknown): boolean => fits(value, texts);
      return allows ? values.length > 0 && values.every(fitsOne) : values.some(fitsOne);
    });
  };
}

/**
 * All values that a server may read for `name`: the argument of exactly this name, and for `a.b` also the
 * member `b` of the argument `a`. `intoLists`: also in members of lists.
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

function compileValue(globs: readonly string[], allows: boolean) {
  const matches = compileGlobs(globs);
  const isPath = globs.some((glob) => /[/\\]/.test(glob));
  const isAnything = globs.includes("*");
  const fitsText = (text: string, texts: CallTexts): boolean => {
    if (isAnything) return true;
    if (text.length > TEXT_BOUNDS.policyText.most || !texts.count(text)) return !allows;
    if (!isPath) return matches(text);
    const spellings = texts.spellings(text);
    if (spellings === null) return !allows;
    return allows ? spellings.every(matches) : spellings.some(matches);
  };
  const fits = (value: unknown, texts: CallTexts, levels: number = MOST_LEVELS): boolean => {
    if (value === undefined) return false;
    if (levels === 0) return !allows;
    if (typeof value === "string") return fitsText(value, texts);
    if (value === null || typeof value === "number" || typeof value === "boolean")
      return fitsText(String(value), texts);
    if (isRawNumber(value)) return fitsText(value.rawJSON, texts);
    if (!Array.isArray(value)) return isAnything || !allows;
    const fitsPart = (part: unknown): boolean => fits(part, texts, levels - 1);
    return allows ? value.length > 0 && value.every(fitsPart) : value.some(fitsPart);
  };
  return fits;
}
