// Texts for error replies to clients: one line, bounded, without secrets and without the path of the installation.
import { fileURLToPath } from "node:url";
import { foreignLine } from "../../runtime/text/foreign-line.ts";

const MAX_CHARACTERS = 2_000;
const INSTALLED_AT = fileURLToPath(new URL("../../..", import.meta.url));

/** `clean` takes the registered secrets out. */
export function sanitise(text: string, clean: (text: string) => string = (same) => same): string {
  // Cut twice: what is cleaned may be huge, and cleaning makes it longer. The first cut leaves room for a secret that
  // it would otherwise halve.
  const line = firstLine(text.slice(0, 4 * MAX_CHARACTERS));
  const anonymous = INSTALLED_AT.length > 1 ? line.replaceAll(INSTALLED_AT, "") : line;
  return foreignLine(clean(anonymous), MAX_CHARACTERS);
}

/** Stack traces begin on the second line. */
function firstLine(text: string): string {
  const end = text.search(/[\r\n]/);
  return end === -1 ? text : text.slice(0, end);
}
