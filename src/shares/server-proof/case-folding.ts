// Chooses entries of a share's root by which a server shows whether it tells spellings of a name apart. Pure.
import type { CaseFolding } from "../drivers/share-files.ts";
import { steadiest } from "./recognition.ts";
import { compareNames, type RootListing } from "./root-listing.ts";

const OTHER_SPELLING: Readonly<Record<keyof CaseFolding, (name: string) => string>> = {
  // Letters of other scripts stay unchanged, because a server may fold only those of ASCII.
  case: (name) =>
    name.replace(/[a-z]+|[A-Z]+/g, (run) => (run < "a" ? run.toLowerCase() : run.toUpperCase())),
  form: (name) => name.normalize(name === name.normalize("NFC") ? "NFD" : "NFC"),
};

/**
 * An entry of the root and another spelling of its name, which no entry has: a server that finds the entry by it folds
 * names. null: no entry is fit. `isPlain`: whether the program that asks accepts the name.
 */
export function spelledOtherwise(
  kind: keyof CaseFolding,
  { entries, rest }: RootListing,
  isPlain: (name: string) => boolean,
): { readonly name: string; readonly twin: string } | null {
  const names = new Set(entries.map(({ name }) => name));
  const end = rest === null ? null : (entries.at(-1)?.name ?? "");
  for (const { name } of steadiest(entries)) {
    const twin = OTHER_SPELLING[kind](name);
    // An entry after the listing's end might have this spelling.
    const isUnknown = end !== null && compareNames(twin, end) > 0;
    // A name with a tilde may stand for another one, and a dot or space at the end for a substitute: neither is the
    // server's own spelling.
    if (twin === name || names.has(twin) || isUnknown || /~|[. ]$/.test(name)) continue;
    if (isPlain(name) && isPlain(twin)) return { name, twin };
  }
  return null;
}
