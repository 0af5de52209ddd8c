// Handovers of the operator's key: statements, signed by one key, that name the next key. The reader checks each
// signature, because any member can write handovers.
import { matching, numberThat, object, reader, type TypeOf, text } from "../../runtime/shape.ts";
import { isSignedByUser, signedLines, signText, userKey, userKeyShape } from "../keys/nkey.ts";

/**
 * Maximum number of handovers in one document. A machine that missed more handovers than this needs the new
 * key by hand.
 */
export const MOST_CARRIED = 8;

/** The form of a time in a signed text: ISO 8601 UTC. */
export const SIGNED_TIME = matching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/, "a time");
export const signedCount = numberThat(
  "a whole number from 1",
  (value) => Number.isSafeInteger(value) && value >= 1,
);

const handoverShape = object({
  /** `U…`: the key that signed. */
  from: userKeyShape,
  /** `U…`: the next key. */
  to: userKeyShape,
  /** The number of this handover in its fleet, from 1. */
  number: signedCount,
  /** By the clock of the machine that signed. It is shown to people and never compared. */
  time: SIGNED_TIME,
  signature: text,
});
export type KeyHandover = Readonly<TypeOf<typeof handoverShape>>;
const handoverOf = reader(handoverShape);

/** `key`: the private key whose public key is `from`, 32 bytes. */
export function signHandover(
  { to, number, time }: Pick<KeyHandover, "to" | "number" | "time">,
  key: Uint8Array,
): KeyHandover {
  const handover = { from: userKey(key), to, number, time };
  return { ...handover, signature: signText(key, handoverText(handover)) };
}

/** Returns null if `value` is not a handover, or is not signed with the key `from`. */
export function readHandover(value: unknown): KeyHandover | null {
  const found = handoverOf(value);
  if (found === null || found.from === found.to) return null;
  return isSignedByUser(found.from, handoverText(found), found.signature) ? found : null;
}

/** Returns null if an item is not a signed handover, or if there are more than `most` items. */
export function readHandovers(value: unknown, most: number): readonly KeyHandover[] | null {
  if (!Array.isArray(value) || value.length > most) return null;
  const all = value.map(readHandover);
  return all.every((entry) => entry !== null) ? all : null;
}

/** All keys from `first` to the current one. Of two handovers by one key, the first in the list counts. */
export function keysFrom(first: string, handovers: readonly KeyHandover[]): readonly string[] {
  const keys = [first];
  for (;;) {
    const next = handovers.find(({ from }) => from === keys.at(-1))?.to;
    if (next === undefined || keys.includes(next)) return keys;
    keys.push(next);
  }
}

/** The handovers that lead to this key, oldest first. */
export function handoversTo(operator: string, handovers: readonly KeyHandover[]): readonly KeyHandover[] {
  const found: KeyHandover[] = [];
  for (let key = operator; found.length < handovers.length; ) {
    const last = handovers.find(({ to }) => to === key);
    if (last === undefined || found.includes(last)) break;
    found.unshift(last);
    key = last.from;
  }
  return found;
}

/**
 * Returns the handovers that lead from `operator` to `signer` without a gap; null if there are none. `earlier`:
 * replaced keys, which no handover may make current again.
 */
export function stepsBetween(
  operator: string,
  signer: string,
  handovers: readonly KeyHandover[],
  earlier: readonly string[],
): readonly KeyHandover[] | null {
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

function handoverText({ from, to, number, time }: Omit<KeyHandover, "signature">): string {
  return signedLines("mountaineer fleet operator 1", from, to, number, time);
}
