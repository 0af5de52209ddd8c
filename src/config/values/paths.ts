// Paths in a configuration: their notation, and their absolute form on this machine.
import { join, normalize, relative, sep } from "node:path";
import type { TextReading } from "./names.ts";

export const PATH_EXPECTED = "an absolute path, or one that begins with `~/`";

/** Mountaineer's folder in the user's home, unless $MOUNTAINEER_HOME names another. */
export const USUAL_HOME_NAME = ".mountaineer";

interface Homes {
  readonly home: string;
  readonly userHome: string;
}

/** True for `~/.mountaineer`. The program's entrance names it so, whatever links $MOUNTAINEER_HOME leads through. */
export function isUsualHome({ home, userHome }: Homes): boolean {
  return home === join(userHome, USUAL_HOME_NAME);
}

/** The default folder of the links to shares, in the file's notation. */
export function defaultSharesRoot(context: Homes): string {
  return isUsualHome(context) ? "~/Shares" : join(context.home, "Shares");
}

const LONGEST_PATH_BYTES = 4096;

/** Checks only the form; nothing is looked up. The value is the text as it was written. */
export function parsePath(text: string): TextReading {
  const wrong = (hint: string | null): TextReading => ({ ok: false, expected: PATH_EXPECTED, hint });
  if (/[\p{Cc}\p{Cs}]/u.test(text)) return wrong("it has a control character");
  if (/^\$|\$\{/.test(text))
    return wrong("variables are not replaced in paths; write `~/` for your home folder");
  if (text.startsWith("~") && text !== "~" && !text.startsWith("~/"))
    return wrong("only your own home folder can be written as `~`");
  if (!text.startsWith("/") && !text.startsWith("~"))
    return wrong(text === "" ? null : "relative to what depends on who starts it");
  if (Buffer.byteLength(text) > LONGEST_PATH_BYTES) return wrong("it is too long");
  return { ok: true, value: text };
}

/** The absolute path without `.`, `..`, doubled or trailing slashes; `~` is `userHome`. */
export function expandPath(text: string, userHome: string): string {
  const absolute = text === "~" || text.startsWith("~/") ? `${userHome}${text.slice(1)}` : text;
  const normal = normalize(absolute);
  return normal.length > 1 && normal.endsWith(sep) ? normal.slice(0, -1) : normal;
}

/** True when `inner` is `outer` or lies below it; both as expandPath gives them. */
export function isWithin(inner: string, outer: string): boolean {
  const relativePath = relative(outer, inner);
  return relativePath === "" || !(relativePath === ".." || relativePath.startsWith(`..${sep}`));
}
