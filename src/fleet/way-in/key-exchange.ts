// How a machine's next key takes the place of its own: what it asks for, and what the record of the server's machine makes
// of that. First both let it in; once it has come in by the next one, that alone does. Pure but for signatures.
import { choice, object, reader, type TypeOf, text } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isSignedBy, publicBytesOf, signText, userKey } from "../keys/nkey.ts";
import type { FleetMember, FleetRecord } from "./fleet-record.ts";

const requestShape = object({
  /** `add`: let it in by this one, too; `use`: by this one alone. */
  step: choice("add", "use"),
  /** `U…`: the next one. */
  key: text,
  /** By the key that goes; empty but for `add`. */
  before: text,
  /** By the next one. */
  signature: text,
});
export type KeyRequest = TypeOf<typeof requestShape>;
type Step = KeyRequest["step"];
const requestOf = reader(requestShape);

export const LONGEST_KEY_MESSAGE = 2048;

/** `before`, `next`: the 32 private bytes of both. */
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

/** Null: it is no request, or who sends it does not have the key it names. `name`: as the server knows who sends it. */
export function readKeyRequest(message: string, name: string): KeyRequest | null {
  const found = message.length > LONGEST_KEY_MESSAGE ? null : requestOf(jsonObject(message));
  const publicKey = found === null ? null : publicBytesOf(found.key);
  if (found === null || publicKey === null) return null;
  const { step, key, signature } = found;
  return isSignedBy(publicKey, requestText(step, name, key), signature) ? found : null;
}

/** The record after it; the very same: it is so already. Null: it is refused. */
export function exchanged(record: FleetRecord, name: string, request: KeyRequest): FleetRecord | null {
  const member = record.members.find((one) => one.name === name);
  if (member === undefined) return null;
  const { step, key } = request;
  const isDone = step === "add" ? member.nextKey === key || member.key === key : isAlone(member, key);
  if (isDone) return record;
  if (step === "use") return member.nextKey === key ? withMember(record, { name, key }) : null;
  const own = publicBytesOf(member.key);
  if (own === null || !isSignedBy(own, requestText(step, name, key), request.before)) return null;
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

/** One line for each part; none of them has a line break. */
function requestText(step: Step, name: string, key: string): string {
  return ["mountaineer fleet key 1", step, name, key].map((part) => JSON.stringify(part)).join("\n");
}
