// The common configuration as a document that the operator signs. Each reading checks everything, because any member
// of the fleet can overwrite the stored document.
import { LARGEST_LAYER_BYTES } from "../../config/layer/layer.ts";
import { isMachineName } from "../../config/values/fleet-values.ts";
import { object, type Shape, type TypeOf, text, textThat } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isSignedByUser, signedLines, signText, userKey } from "../keys/nkey.ts";
import {
  type KeyHandover,
  MOST_CARRIED,
  readHandovers,
  SIGNED_TIME,
  signedCount,
  stepsBetween,
} from "./key-handovers.ts";

/** Maximum size of a document: the longest text, escaped as JSON, and the other members. */
export const LARGEST_DOCUMENT_BYTES = 2 * LARGEST_LAYER_BYTES + 4 * 1024;

const layerShape = object({
  /** The revision's number, from 1. */
  revision: signedCount,
  /** By the clock of the machine that signed. It is shown to people and never compared. */
  time: SIGNED_TIME,
  by: textThat("a machine's name", isMachineName),
  /** `U…`: the key that signed. */
  operator: text,
  /** The text of the common configuration, in TOML. */
  text,
});
export type SignedLayer = Readonly<TypeOf<typeof layerShape>>;
const documentShape: Shape<SignedLayer & { readonly signature: string }> = object({
  ...layerShape.fields,
  signature: text,
});

/**
 * `key`: the operator's 32 private bytes. `handovers`: the handovers up to this key, oldest first; the newest ones go
 * into the document.
 */
export function signLayer(
  words: Omit<SignedLayer, "operator">,
  key: Uint8Array,
  handovers: readonly KeyHandover[] = [],
): string {
  const { revision, time, by, text: content } = words;
  const operator = userKey(key);
  const signature = signText(key, signedText({ ...words, operator }));
  const carried = handovers.length === 0 ? {} : { handovers: handovers.slice(-MOST_CARRIED) };
  const document = { format: 1, revision, time, by, operator, text: content, signature, ...carried };
  return `${JSON.stringify(document)}\n`;
}

export type LayerReading =
  | {
      readonly ok: true;
      readonly layer: SignedLayer;
      /** The handovers from the current key to the signer; empty: the current key has signed. */
      readonly steps: readonly KeyHandover[];
    }
  /** `problem`: why the document is not trusted. Contains no text of the document. */
  | { readonly ok: false; readonly problem: string };

interface Trusted {
  readonly operator: string;
  /** The operator's keys before the current one. */
  readonly earlier: readonly string[];
}

export function readSignedLayer(document: Uint8Array, { operator, earlier }: Trusted): LayerReading {
  const no = (problem: string): LayerReading => ({ ok: false, problem });
  if (document.length > LARGEST_DOCUMENT_BYTES) return no(`it is too long: ${document.length} bytes`);
  const found = jsonObject(new TextDecoder().decode(document));
  if (found === null) return no("it is not a JSON object");
  if (found["format"] !== 1) return no("its format is not known; a newer version may have written it");
  const fault = documentShape.faultIn(found);
  if (fault !== null) return no(`its ${fault.path} is not ${fault.expected}`);
  // The shape has just been checked.
  const {
    signature,
    revision,
    time,
    by,
    operator: signer,
    text: content,
  } = found as TypeOf<typeof documentShape>;
  if (earlier.includes(signer)) return no("a key has signed it that was the operator's, and is not any more");
  const handovers = readHandovers(found["handovers"] ?? [], MOST_CARRIED) ?? [];
  const steps = signer === operator ? [] : stepsBetween(operator, signer, handovers, earlier);
  if (steps === null) return no("another key than the operator's has signed it");
  const layer = { revision, time, by, text: content, operator: signer };
  if (!isSignedByUser(signer, signedText(layer), signature)) return no("the operator has not signed it");
  return { ok: true, layer, steps };
}

function signedText({ operator, revision, time, by, text: content }: SignedLayer): string {
  return signedLines("mountaineer fleet layer 1", operator, revision, time, by, content);
}
