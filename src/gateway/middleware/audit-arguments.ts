// Prepares a call's arguments for the audit and for questions to people: removes configured names and
// secrets, and limits depth, number and length.

import { isUnreadable } from "../../runtime/json/large-json.ts";
import { isRawNumber } from "../../runtime/text/exact-json.ts";

const REDACTED = "[redacted]";
/** Replaces omitted parts. */
export const CUT = "[cut]";
const MAX_CHARACTERS = 16 * 1024;
const MAX_TEXT = 4 * 1024;
const MAX_VALUES = 2_000;
const MAX_DEPTH = 32;

/**
 * A bounded copy of the arguments, without the values of keys that `isRedacted` accepts. `isRedacted` gets each key in
 * lower case, bare and as a path (`auth.password`); elements of a list have the list's path.
 */
export function auditedArguments(
  value: unknown,
  isRedacted: (name: string) => boolean,
  clean: (text: string) => string,
): unknown {
  let characters = MAX_CHARACTERS;
  let values = MAX_VALUES;
  const text = (whole: string): string => {
    const most = Math.min(MAX_TEXT, Math.max(0, characters));
    // Secrets are removed before the text is cut to its limit, because the cut could leave half a secret.
    const cleaned = clean(whole.slice(0, 2 * MAX_TEXT));
    const shortened =
      cleaned.length <= most && whole.length <= 2 * MAX_TEXT
        ? cleaned
        : `${cleaned.slice(0, most).toWellFormed()}${CUT}`;
    characters -= shortened.length;
    return shortened;
  };
  const copy = (part: unknown, path: string, depth: number): unknown => {
    values--;
    if (typeof part === "string") return text(part);
    if (typeof part !== "object" || part === null) return part;
    if (isRawNumber(part)) {
      const { length } = part.rawJSON;
      characters -= length;
      // A number that is cut off would be a different number, so it is omitted.
      return length <= MAX_TEXT ? part : CUT;
    }
    if (depth >= MAX_DEPTH || isUnreadable(part)) return CUT;
    if (Array.isArray(part)) {
      const list: unknown[] = [];
      for (const element of part) {
        if (values <= 0 || characters <= 0) {
          list.push(CUT);
          break;
        }
        list.push(copy(element, path, depth + 1));
      }
      return list;
    }
    const entries: [string, unknown][] = [];
    for (const [key, element] of Object.entries(part)) {
      if (values <= 0 || characters <= 0) {
        entries.push([CUT, true]);
        break;
      }
      const name = key.toLowerCase();
      const ownPath = path === "" ? name : `${path}.${name}`;
      const hidden = isRedacted(name) || isRedacted(ownPath);
      entries.push([text(key), hidden ? REDACTED : copy(element, ownPath, depth + 1)]);
    }
    // Assigning a key `__proto__` would lose the value.
    return Object.fromEntries(entries);
  };
  return copy(value, "", 0);
}
