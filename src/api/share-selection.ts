// Owns which shares a request means, and what is said when one of them does not exist.

import { MountaineerError } from "../runtime/errors.ts";
import { closestWord } from "../runtime/suggest.ts";
import type { ShareSelection } from "./control.ts";

const NAMES_SHOWN = 12;

/**
 * The selected of `known`, in the order of `known`, each once; null selects all. Throws `share_unknown`, naming
 * what there is and what was probably meant.
 */
export function selectShares(selection: ShareSelection, known: readonly string[]): readonly string[] {
  if (selection === null) return known;
  const unknown = selection.find((name) => !known.includes(name));
  if (unknown !== undefined) throw shareUnknown(unknown, known);
  return known.filter((name) => selection.includes(name));
}

function shareUnknown(name: string, known: readonly string[]): MountaineerError {
  const meant = closestWord(name, known);
  const shown = known.slice(0, NAMES_SHOWN).join(", ");
  const more = known.length > NAMES_SHOWN ? ` and ${known.length - NAMES_SHOWN} more` : "";
  const names = known.length === 0 ? "no share is configured yet" : `configured: ${shown}${more}`;
  return new MountaineerError("share_unknown", `there is no share named ${JSON.stringify(name)}`, {
    hint: meant === null ? names : `did you mean ${meant}? (${names})`,
  });
}
