// What is said between a machine that joins and the one that invited it. Each proves itself to the other: the first by
// the code's secret and its own key, the second by the operator's key. Pure but for randomness and signatures.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { isMachineName } from "../../config/values/fleet-values.ts";
import { choice, object, reader, type TypeOf, text, textThat } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isSignedBy, publicBytesOf, signText, userKey } from "../keys/nkey.ts";

/** What both must mean, or a code that was changed on its way would pass: hex of the authority, and the operator's key. */
export interface JoinGround {
  readonly id: string;
  /** Hex. */
  readonly authority: string;
  /** base64url. */
  readonly operator: string;
}

const requestShape = object({ name: textThat("a machine's name", isMachineName), key: text, nonce: text });
export type JoinRequest = TypeOf<typeof requestShape>;
const provedRequestOf = reader(object({ ...requestShape.fields, proof: text, signature: text }));

const reasonShape = choice("expired", "used", "name_taken", "not_proved", "failed");
export type RefusedBecause = TypeOf<typeof reasonShape>;
const reasonOf = reader(reasonShape);
const outcomeOf = reader(object({ outcome: text, signature: text }));

export type JoinOutcome =
  | { readonly joined: true }
  | { readonly joined: false; readonly why: RefusedBecause };

const LONGEST_MESSAGE = 4096;

export function newRequest(name: string, seed: Uint8Array): JoinRequest {
  return { name, key: userKey(seed), nonce: randomBytes(16).toString("base64url") };
}

export function writeRequest(
  request: JoinRequest,
  ground: JoinGround,
  proofKey: Uint8Array,
  seed: Uint8Array,
): string {
  const asked = groundText("asks", ground, request);
  return JSON.stringify({
    ...request,
    proof: proofOf(asked, proofKey).toString("base64url"),
    signature: signText(seed, asked),
  });
}

/** Null: it is not from who holds the code and the key it names. */
export function readRequest(said: string, ground: JoinGround, proofKey: Uint8Array): JoinRequest | null {
  const found = said.length > LONGEST_MESSAGE ? null : provedRequestOf(jsonObject(said));
  if (found === null) return null;
  const { name, key, nonce, proof, signature } = found;
  const signed = groundText("asks", ground, { name, key, nonce });
  const [given, wanted] = [Buffer.from(proof, "base64url"), proofOf(signed, proofKey)];
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return null;
  const publicKey = publicBytesOf(key);
  return publicKey !== null && isSignedBy(publicKey, signed, signature) ? { name, key, nonce } : null;
}

/** `operatorKey`: the 32 private bytes. */
export function writeOutcome(
  outcome: JoinOutcome,
  request: JoinRequest,
  ground: JoinGround,
  operatorKey: Uint8Array,
): string {
  const word = outcome.joined ? "joined" : outcome.why;
  return JSON.stringify({
    outcome: word,
    signature: signText(operatorKey, groundText(word, ground, request)),
  });
}

/** Null: it is not what the operator says to this very request. */
export function readOutcome(said: string, request: JoinRequest, ground: JoinGround): JoinOutcome | null {
  const found = said.length > LONGEST_MESSAGE ? null : outcomeOf(jsonObject(said));
  if (found === null) return null;
  const { outcome, signature } = found;
  const operator = Buffer.from(ground.operator, "base64url");
  if (!isSignedBy(operator, groundText(outcome, ground, request), signature)) return null;
  if (outcome === "joined") return { joined: true };
  const why = reasonOf(outcome);
  return why === null ? null : { joined: false, why };
}

/** One line for each part; none of them has a line break. */
function groundText(word: string, ground: JoinGround, { name, key, nonce }: JoinRequest): string {
  const parts = [word, ground.id, ground.authority, ground.operator, name, key, nonce];
  return ["mountaineer fleet join", ...parts.map((part) => JSON.stringify(part))].join("\n");
}

function proofOf(text: string, key: Uint8Array): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
