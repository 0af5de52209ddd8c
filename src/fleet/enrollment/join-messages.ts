// The messages between a machine that joins and the machine that invited it. The joining machine proves who it is
// with the code's secret and its own key; the inviting machine answers with the code's secret.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { isMachineName } from "../../config/values/fleet-values.ts";
import { choice, object, reader, type TypeOf, text, textThat } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isSignedByUser, signedLines, signText, userKey } from "../keys/nkey.ts";

/** The proof in every message covers this context, so that a code that was changed on its way is detected. */
export interface JoinContext {
  readonly id: string;
  /** SHA-256 of the certificate authority, hex. */
  readonly authority: string;
}

const requestShape = object({ name: textThat("a machine's name", isMachineName), key: text, nonce: text });
export type JoinRequest = TypeOf<typeof requestShape>;
const provedRequestOf = reader(object({ ...requestShape.fields, proof: text, signature: text }));

const reasonShape = choice("expired", "used", "name_taken", "not_proved", "failed");
export type RefusedBecause = TypeOf<typeof reasonShape>;
const reasonOf = reader(reasonShape);
const outcomeOf = reader(object({ outcome: text, proof: text }));

export type JoinOutcome =
  | { readonly joined: true }
  | { readonly joined: false; readonly why: RefusedBecause };

const LONGEST_MESSAGE = 4096;

export function newRequest(name: string, seed: Uint8Array): JoinRequest {
  return { name, key: userKey(seed), nonce: randomBytes(16).toString("base64url") };
}

export function writeRequest(
  request: JoinRequest,
  context: JoinContext,
  proofKey: Uint8Array,
  seed: Uint8Array,
): string {
  const requestText = signedText("asks", context, request);
  return JSON.stringify({
    ...request,
    proof: proofOf(requestText, proofKey),
    signature: signText(seed, requestText),
  });
}

/** Returns null if the message does not prove that the sender has the code, and the key that the request names. */
export function readRequest(text: string, context: JoinContext, proofKey: Uint8Array): JoinRequest | null {
  const found = text.length > LONGEST_MESSAGE ? null : provedRequestOf(jsonObject(text));
  if (found === null) return null;
  const { name, key, nonce, proof, signature } = found;
  const signed = signedText("asks", context, { name, key, nonce });
  if (!isProved(signed, proof, proofKey)) return null;
  return isSignedByUser(key, signed, signature) ? { name, key, nonce } : null;
}

export function writeOutcome(
  outcome: JoinOutcome,
  request: JoinRequest,
  context: JoinContext,
  proofKey: Uint8Array,
): string {
  const verb = outcome.joined ? "joined" : outcome.why;
  return JSON.stringify({ outcome: verb, proof: proofOf(signedText(verb, context, request), proofKey) });
}

/** Returns null if the message does not prove that a machine with the code's secret answers this request. */
export function readOutcome(
  text: string,
  request: JoinRequest,
  context: JoinContext,
  proofKey: Uint8Array,
): JoinOutcome | null {
  const found = text.length > LONGEST_MESSAGE ? null : outcomeOf(jsonObject(text));
  if (found === null) return null;
  const { outcome, proof } = found;
  if (!isProved(signedText(outcome, context, request), proof, proofKey)) return null;
  if (outcome === "joined") return { joined: true };
  const why = reasonOf(outcome);
  return why === null ? null : { joined: false, why };
}

function signedText(verb: string, context: JoinContext, { name, key, nonce }: JoinRequest): string {
  const { id, authority } = context;
  return signedLines("mountaineer fleet join", verb, id, authority, name, key, nonce);
}

function isProved(text: string, proof: string, key: Uint8Array): boolean {
  const [given, wanted] = [Buffer.from(proof), Buffer.from(proofOf(text, key))];
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function proofOf(text: string, key: Uint8Array): string {
  return createHmac("sha256", key).update(text).digest("base64url");
}
