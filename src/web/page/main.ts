// The page: takes a link's code out of the address, finds its session, and draws itself into the shell.
import { h, render } from "preact";
import { PageApp } from "./shell/page-app.ts";

// Before anything else is done with the address: nobody shall read the code from it, nor go back to it.
const link = takeLinkCode(window);
const root = document.getElementById("page");
if (root !== null) render(h(PageApp, { link }), root);

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
