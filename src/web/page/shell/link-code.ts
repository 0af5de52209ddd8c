// The one-time code of `mountaineer open`, behind the `#` of the address.

export interface LinkCode {
  readonly code: string;
  /** `mountaineer open --admin`: its terminal shows a code for this tab. */
  readonly isForOwner: boolean;
}

const FOR_OWNER = ".admin";

/** Removes the code from address and history, and returns it; null: the hash is empty, or names a view with `#/`. */
export function takeLinkCode({
  location,
  history,
}: {
  readonly location: { readonly hash: string; readonly pathname: string };
  readonly history: { replaceState(state: unknown, title: string, address: string): void };
}): LinkCode | null {
  const { hash, pathname } = location;
  if (hash === "" || hash === "#" || hash.startsWith("#/")) return null;
  history.replaceState(null, "", pathname);
  // Codes are letters and digits, so nothing in them is escaped.
  const isForOwner = hash.endsWith(FOR_OWNER);
  return { code: hash.slice(1, isForOwner ? -FOR_OWNER.length : undefined), isForOwner };
}
