// The one-time code of `mountaineer open`, behind the `#` of the address.

/** Removes the code from address and history, and returns it; null: the hash is empty, or names a view with `#/`. */
export function takeLinkCode({
  location,
  history,
}: {
  readonly location: { readonly hash: string; readonly pathname: string };
  readonly history: { replaceState(state: unknown, title: string, address: string): void };
}): string | null {
  const { hash, pathname } = location;
  if (hash === "" || hash === "#" || hash.startsWith("#/")) return null;
  history.replaceState(null, "", pathname);
  // Codes are letters and digits, so nothing in them is escaped.
  return hash.slice(1);
}
