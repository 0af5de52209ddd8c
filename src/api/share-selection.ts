// Selects shares by name, and makes the error for an unknown one.
import { type NameKind, selectNames } from "./name-selection.ts";

const SHARES: NameKind = {
  code: "share_unknown",
  noun: "share",
  known: "configured",
  none: "no share is configured yet",
};

/**
 * The selected of `known`, in the order of `known`, each once; null selects all. Throws `share_unknown`, naming
 * what there is and what was probably meant.
 */
export function selectShares(
  selection: readonly string[] | null,
  known: readonly string[],
): readonly string[] {
  return selectNames(selection, known, SHARES);
}
