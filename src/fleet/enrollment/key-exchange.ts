// Replaces a machine's key in two steps. After `add`, the server accepts both the current and the next key; after
// `use`, only the next one. This file has the requests, and their effect on the fleet's record.
import { choice, object, reader, type TypeOf, text } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isSignedByUser, signedLines, signText, userKey, userKeyShape } from "../keys/nkey.ts";
import type { FleetMember, FleetRecord } from "./fleet-record.ts";

const requestShape = object({
  step: choice("add", "use"),
  /** The next key. */
  key: userKeyShape,
  /** Signature by the current key; empty in step `use`. */
  before: text,
  /** Signature by the next key. */
  signature: text,
});
export type KeyRequest = TypeOf<typeof requestShape>;
type Step = KeyRequest["step"];
const requestOf = reader(requestShape);

const LONGEST_KEY_MESSAGE = 2048;

/** `before`, `next`: the 32 private bytes of the keys. */
export function writeKeyRequest(step: Step, name: string, before: Uint8Array, next: Uint8Array): string {
  const key = userKey(next);
  const asked = requestText(step, name, key);
  const request: KeyRequest = {
    step,
    key,
    before: step === "add" ? signText(before, asked) : "",
    signature: signText(next, asked),
  };
  return JSON.stringify(request);
}

/**
 * Returns null if the message is not a request, or is not signed by the key that it names. `name`: the sender, as the
 * server knows it.
 */
export function readKeyRequest(message: string, name: string): KeyRequest | null {
  const found = message.length > LONGEST_KEY_MESSAGE ? null : requestOf(jsonObject(message));
  if (found === null) return null;
  const { step, key, signature } = found;
  return isSignedByUser(key, requestText(step, name, key), signature) ? found : null;
}

/**
 * Returns the record as the request changes it; the same object if the request was fulfilled before; null if the
 * request is refused.
 */
export function exchanged(record: FleetRecord, name: string, request: KeyRequest): FleetRecord | null {
  const member = record.members.find((one) => one.name === name);
  if (member === undefined) return null;
  const { step, key } = request;
  const isDone = step === "add" ? member.nextKey === key || member.key === key : isAlone(member, key);
  if (isDone) return record;
  if (step === "use") return member.nextKey === key ? withMember(record, { name, key }) : null;
  if (!isSignedByUser(member.key, requestText(step, name, key), request.before)) return null;
  if (isTaken(record, key)) return null;
  return withMember(record, { name, key: member.key, nextKey: key });
}

function isAlone({ key, nextKey }: FleetMember, wanted: string): boolean {
  return key === wanted && nextKey === undefined;
}

function isTaken({ members, invitations }: FleetRecord, key: string): boolean {
  const keys = members.flatMap((member) => [member.key, member.nextKey]);
  return [...keys, ...invitations.flatMap(({ guest, host }) => [guest, host])].includes(key);
}

function withMember(record: FleetRecord, member: FleetMember): FleetRecord {
  const members = record.members.map((one) => (one.name === member.name ? member : one));
  return { ...record, members };
}

function requestText(step: Step, name: string, key: string): string {
  return signedLines('"mountaineer fleet key 1"', step, name, key);
}
