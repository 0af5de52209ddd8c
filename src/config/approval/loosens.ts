// Why the content of a configuration file waits for a person: it is half a file, or it drops what keeps others out.
// Pure.
import { asTable, has, listIn, type Table } from "../read/tables.ts";
import { isTable } from "../values/table.ts";

/** A content, as text of one character per byte, and its tables, whether valid or not. */
interface Content {
  readonly text: string;
  readonly tables: unknown;
}

/** How a content came. */
export interface Arrival {
  /** Another file holds it than the content before. */
  readonly isNewFile: boolean;
  /** That file was seen moved in, and was not written to since. */
  readonly isMovedIn: boolean;
}

/** Why the content `now`, which comes after `before`, waits for a person; null: it does not. */
export function suspectBecause(
  now: Content,
  before: Content,
  { isNewFile, isMovedIn }: Arrival,
): string | null {
  // One with a syntax error is refused anyway, with the place of the error.
  const lost = now.tables === null ? [] : loosens(before.tables, now.tables);
  // A new file waits only if it loosens; one that was moved in whole does not.
  if (isNewFile && (lost.length === 0 || (isMovedIn && !mayBeCut(now.text, before.text)))) return null;
  if (now.text.trim() === "") return before.text.trim() === "" ? null : "it was emptied";
  const sizes = `${now.text.length} of ${before.text.length} bytes`;
  if (endsInside(now.text, before.text)) return `it ends inside a line, after ${sizes}`;
  return lost.length === 0 ? null : `it drops ${lost.join(", ")} (${sizes} are there)`;
}

/** True if `text` is empty, the beginning of `before`, or without the last line's end that `before` has. */
function mayBeCut(text: string, before: string): boolean {
  return text.trim() === "" || before.startsWith(text) || (before.endsWith("\n") && !text.endsWith("\n"));
}

/** True if `text` is shorter, and its last line has no end and is but the beginning of a line of `before`. */
function endsInside(text: string, before: string): boolean {
  const last = text.slice(text.lastIndexOf("\n") + 1);
  if (last === "" || text.length >= before.length) return false;
  // A prefix ends exactly where it was cut, so a line that is whole there was not cut.
  if (before.startsWith(text)) return !/^\r?\n/.test(before.slice(text.length));
  const lines = before.split(/\r?\n/);
  return !lines.includes(last) && lines.some((line) => line.startsWith(last));
}

/**
 * The protections in the tables `before` that are missing in `after`. `[trust]` is not among them: only an approval
 * loosens it.
 */
export function loosens(before: unknown, after: unknown): readonly string[] {
  const [was, now] = [asTable(before) ?? {}, asTable(after) ?? {}];
  const lost: Readonly<Record<string, boolean>> = {
    "[incoming_auth]": !isOpen(was) && (isOpen(now) || lacks(was["incoming_auth"], now["incoming_auth"])),
    "[authorization]":
      limitsIn(now) < limitsIn(was) ||
      lacks({ rules: was["authorization"] }, { rules: now["authorization"] }),
    "[server].host": lacks({ host: asTable(was["server"])?.["host"] }, now["server"] ?? {}),
  };
  return Object.keys(lost).filter((name) => lost[name]);
}

const isOpen = (tables: Table): boolean =>
  (asTable(tables["incoming_auth"])?.["type"] ?? "anonymous") === "anonymous";

/** Without a policy that allows, less is allowed. */
const limitsIn = (tables: Table): number =>
  listIn(asTable(tables["authorization"]), "policies").filter(
    (policy) => asTable(policy)?.["effect"] !== "allow",
  ).length;

/** True if a key is missing, also in a table or member within; fewer members of a list are not a loss. */
function lacks(was: unknown, now: unknown): boolean {
  if (Array.isArray(was)) return Array.isArray(now) && now.some((one, index) => lacks(was[index], one));
  if (!isTable(was) || !isTable(now)) return false;
  return Object.keys(was).some((key) =>
    has(now, key) ? lacks(was[key], now[key]) : has(was, key) && !listIn(was, key).some(isTable),
  );
}
