// The one-time code of `mountaineer open`, which stands behind the `#` of the address.

/** Views begin with `#/`; anything else behind the `#` is a code. It is gone from address and history afterwards. */
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
  // Codes are letters and digits: nothing of them is ever escaped.
  return hash.slice(1);
}
