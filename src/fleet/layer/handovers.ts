// How the operator's key goes over to the next one: what the old key signs, and how such words are read, whoever wrote
// them. Pure but for signatures.
import type { JsonMembers } from "../../runtime/text/json-object.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { isSignedBy, publicBytesOf, signText, userKey } from "../keys/nkey.ts";

/** So many travel with a layer, the newest: a machine that was away for more of them takes the key by hand. */
export const MOST_CARRIED = 8;
export const LARGEST_HANDOVER_BYTES = 300;

export interface Handover {
  /** `U…`, whose word it is. A fleet is known by it. */
  readonly from: string;
  /** `U…`, whose word counts from then on. */
  readonly to: string;
  /** From 1, for each key that a fleet has had. */
  readonly number: number;
  /** ISO 8601 UTC, by the clock of the machine where it was signed; for people. */
  readonly time: string;
  readonly signature: string;
}

/** `key`: the 32 private bytes of the one that goes. */
export function signHandover(
  { to, number, time }: Pick<Handover, "to" | "number" | "time">,
  key: Uint8Array,
): Handover {
  const words = { from: userKey(key), to, number, time };
  return { ...words, signature: signText(key, handoverText(words)) };
}

/** Null: the key that it names has not signed it. */
export function readHandover({ from, to, number, time, signature }: JsonMembers): Handover | null {
  if (typeof from !== "string" || typeof to !== "string" || from === to) return null;
  if (!Number.isSafeInteger(number) || Number(number) < 1) return null;
  if (typeof time !== "string" || !SIGNED_TIME.test(time) || typeof signature !== "string") return null;
  const key = publicBytesOf(from);
  if (key === null || publicBytesOf(to) === null) return null;
  const words = { from, to, number: Number(number), time };
  return isSignedBy(key, handoverText(words), signature) ? { ...words, signature } : null;
}

/** Null: one of them is not what a key has signed, or there are more than `most`. */
export function readHandovers(value: unknown, most: number): readonly Handover[] | null {
  if (!Array.isArray(value) || value.length > most) return null;
  const all = value.map((entry: unknown) => (isObject(entry) ? readHandover(entry) : null));
  return all.every((entry) => entry !== null) ? all : null;
}

/** The keys that have counted, from `first` to the one that counts: of two that one key names, the one heard first. */
export function keysFrom(first: string, handovers: readonly Handover[]): readonly string[] {
  const keys = [first];
  for (;;) {
    const next = handovers.find(({ from }) => from === keys.at(-1))?.to;
    if (next === undefined || keys.includes(next)) return keys;
    keys.push(next);
  }
}

/** Those that lead to this key, oldest first. */
export function handoversTo(operator: string, handovers: readonly Handover[]): readonly Handover[] {
  const found: Handover[] = [];
  for (let key = operator; found.length < handovers.length; ) {
    const last = handovers.find(({ to }) => to === key);
    if (last === undefined || found.includes(last)) break;
    found.unshift(last);
    key = last.from;
  }
  return found;
}

/**
 * Of what came with a layer, those that lead from the key that counts to its signer, without a gap; null: they do not.
 * `earlier`: keys that do not come back.
 */
export function stepsBetween(
  operator: string,
  signer: string,
  handovers: readonly Handover[],
  earlier: readonly string[],
): readonly Handover[] | null {
  const begin = handovers.findIndex(({ from }) => from === operator);
  const end = handovers.findIndex(({ to }) => to === signer);
  if (begin < 0 || end < begin) return null;
  const steps = handovers.slice(begin, end + 1);
  const keys = new Set([...earlier, operator]);
  for (const [index, { from, to, number }] of steps.entries()) {
    const before = steps[index - 1];
    if (before !== undefined && (before.to !== from || before.number + 1 !== number)) return null;
    if (keys.has(to)) return null;
    keys.add(to);
  }
  return steps;
}

/** A time as it is signed. */
export const SIGNED_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/;

/** What it is for, in which fleet, and one line for each part; none of them has a line break. */
function handoverText({ from, to, number, time }: Omit<Handover, "signature">): string {
  const parts = [from, to, number, time];
  return ["mountaineer fleet operator 1", ...parts.map((part) => JSON.stringify(part))].join("\n");
}
