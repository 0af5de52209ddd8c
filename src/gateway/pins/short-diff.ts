// What changed of an entry, in a few harmless lines: for the log and for events. `tools diff` shows all of it.
import { harmless } from "../../runtime/text/plain-text.ts";
import type { MemberChange } from "./pinned-entry.ts";

const AROUND = 30;
const LONGEST = 300;
/** A name may be of any length. */
const LONGEST_NAME = 100;

/** Two lines for each member, `-` before and `+` after, around what differs. */
export function shortDiff(changes: readonly MemberChange[]): readonly string[] {
  return changes.flatMap(({ member, before, after }) => {
    const [old, fresh] = [before ?? "", after ?? ""];
    const start = commonStart(old, fresh);
    const end = commonEnd(old, fresh, start);
    return [
      ...(before === null ? [] : [`- ${member}: ${excerpt(old, start, end)}`]),
      ...(after === null ? [] : [`+ ${member}: ${excerpt(fresh, start, end)}`]),
    ];
  });
}

/** A server's own word, as it can be shown. */
export function shownName(name: string): string {
  const text = harmless(name.slice(0, LONGEST_NAME));
  return name.length > LONGEST_NAME ? `${text}…` : text;
}

function commonStart(one: string, other: string): number {
  let at = 0;
  while (at < one.length && at < other.length && one[at] === other[at]) at++;
  return at;
}

function commonEnd(one: string, other: string, start: number): number {
  let length = 0;
  const most = Math.min(one.length, other.length) - start;
  while (length < most && one.at(-1 - length) === other.at(-1 - length)) length++;
  return length;
}

function excerpt(text: string, start: number, end: number): string {
  const from = Math.max(0, start - AROUND);
  const to = Math.min(text.length, text.length - end + AROUND);
  const cut = Math.min(to, from + LONGEST);
  const shown = harmless(text.slice(from, cut).toWellFormed());
  return `${from > 0 ? "…" : ""}${shown}${cut < text.length ? "…" : ""}`;
}
