// The rule between backends and shares: what a backend requires is a share of this file.
import { describeValue, type Finding, namesHint } from "../values/mistakes.ts";
import { parseShareName } from "../values/names.ts";
import { parseRequirement, requirementOf } from "../values/requirement.ts";
import { asTable, type Table } from "./tables.ts";

/** What is said beside a share that the file does not have. */
export const NO_SHARES = "the file has no shares";

/** Names of shares as the file has them, skipping values that are not names. */
export function shareNames(shares: readonly unknown[]): string[] {
  return shares.flatMap((share) => {
    const name = asTable(share)?.["name"];
    const reading = typeof name === "string" ? parseShareName(name) : null;
    return reading?.ok === true ? [reading.value] : [];
  });
}

/** All requirements of shares that the file does not have; values of wrong types are skipped. */
export function requiresFindings(file: Table): Finding[] {
  const shares: readonly unknown[] = Array.isArray(file["shares"]) ? file["shares"] : [];
  const names = shareNames(shares);
  return Object.entries(asTable(file["backends"]) ?? {}).flatMap(([backend, entry]) => {
    const requires = asTable(entry)?.["requires"];
    if (!Array.isArray(requires)) return [];
    return requires.flatMap((text: unknown, index): Finding[] => {
      const reading = typeof text === "string" ? parseRequirement(text) : null;
      if (reading?.ok !== true) return [];
      const { share } = requirementOf(reading.value);
      if (names.includes(share)) return [];
      const found = `${describeValue(text)}, which names no share of this file`;
      const expected = "the name of a share of this file";
      const hint = namesHint(share, names, NO_SHARES);
      const path = ["backends", backend, "requires", index];
      return [{ path, at: "value", found, expected, hint, restsOnAbsence: true }];
    });
  });
}
