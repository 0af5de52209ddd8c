// Texts for error replies to clients: one bounded line without secrets and without the installation's path.

import { fileURLToPath } from "node:url";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import { safeLine } from "../../runtime/text/safe-line.ts";

const INSTALLED_AT = fileURLToPath(new URL("../../..", import.meta.url));

/** `clean` removes registered secrets. */
export function sanitise(text: string, clean: (text: string) => string = (same) => same): string {
  // Shortened twice, because the text may be huge: first to more than the limit, so that no secret is cut in
  // half before `clean` finds it.
  const line = firstLine(text.slice(0, 4 * TEXT_BOUNDS.error.most));
  const anonymous = INSTALLED_AT.length > 1 ? line.replaceAll(INSTALLED_AT, "") : line;
  return safeLine(clean(anonymous), TEXT_BOUNDS.error.most);
}

/** Omits stack traces, which begin on the second line. */
function firstLine(text: string): string {
  const end = text.search(/[\r\n]/);
  return end === -1 ? text : text.slice(0, end);
}
