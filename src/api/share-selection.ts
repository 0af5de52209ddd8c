// Selects shares by name.
import { type NameKind, selectNames } from "./name-selection.ts";

const SHARES: NameKind = {
  code: "share_unknown",
  noun: "share",
  known: "configured",
  none: "no share is configured yet",
};

/** As `selectNames`. Throws `share_unknown`. */
export function selectShares(
  selection: readonly string[] | null,
  known: readonly string[],
): readonly string[] {
  return selectNames(selection, known, SHARES);
}
