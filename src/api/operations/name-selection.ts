// Selects from known names, and makes the error for an unknown name.
import { type ErrorCode, MountaineerError } from "../../runtime/errors.ts";
import { firstNames } from "../../runtime/text/plain-text.ts";
import { closestWord } from "../../runtime/text/suggest.ts";

const NAMES_SHOWN = 12;

/** How error messages refer to the things that are selected by name. */
export interface NameKind {
  readonly code: ErrorCode;
  /** The noun for one of the named things: "share". */
  readonly noun: string;
  /** What the hint calls the known names: "configured". */
  readonly known: string;
  /** The message if there are none: "no share is configured yet". */
  readonly none: string;
}

/**
 * Returns the selected names in the order of `known`, each once; all names if `selection` is null. For an unknown
 * name, throws the error of the kind, with the known names and the closest one in the hint.
 */
export function selectNames(
  selection: readonly string[] | null,
  known: readonly string[],
  kind: NameKind,
): readonly string[] {
  if (selection === null) return known;
  const unknown = selection.find((name) => !known.includes(name));
  if (unknown !== undefined) throw nameUnknown(unknown, known, kind);
  return known.filter((name) => selection.includes(name));
}

export function nameUnknown(
  name: string,
  known: readonly string[],
  kind: NameKind,
  meant: string | null = closestWord(name, known),
): MountaineerError {
  const names = known.length === 0 ? kind.none : `${kind.known}: ${firstNames(known, String, NAMES_SHOWN)}`;
  return new MountaineerError(kind.code, `there is no ${kind.noun} named ${JSON.stringify(name)}`, {
    hint: meant === null ? names : `did you mean ${meant}? (${names})`,
  });
}

const SHARES: NameKind = {
  code: "share_unknown",
  noun: "share",
  known: "configured",
  none: "no share is configured yet",
};

/** Like `selectNames`, for shares. Throws `share_unknown`. */
export function selectShares(
  selection: readonly string[] | null,
  known: readonly string[],
): readonly string[] {
  return selectNames(selection, known, SHARES);
}
