// The fleet's layer of configuration as its operator signs it, and how such a document is read, whoever wrote it.
import { isMachineName } from "../../config/fleet-values.ts";
import { LARGEST_LAYER_BYTES } from "../../config/layer/layer.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isSignedBy, publicBytesOf, signText, userKey } from "../keys/nkey.ts";

/** Of a document: its text at its longest in JSON, and what is around it. */
export const LARGEST_DOCUMENT_BYTES = 2 * LARGEST_LAYER_BYTES + 4 * 1024;

export interface LayerWords {
  /** From 1; each is signed once. */
  readonly revision: number;
  /** ISO 8601 UTC, by the clock of the machine where it was signed; for people. */
  readonly time: string;
  /** That machine. */
  readonly by: string;
  /** TOML. */
  readonly text: string;
}

export interface SignedLayer extends LayerWords {
  /** `U…`, whose signature it is. A fleet is known by it. */
  readonly operator: string;
}

/** `key`: the operator's 32 private bytes. */
export function signLayer(words: LayerWords, key: Uint8Array): string {
  const { revision, time, by, text } = words;
  const operator = userKey(key);
  const signature = signText(key, signedText({ ...words, operator }));
  return `${JSON.stringify({ format: 1, revision, time, by, operator, text, signature })}\n`;
}

type Reading =
  | { readonly ok: true; readonly layer: SignedLayer }
  /** `problem`: why it counts for nothing, in words that are no stranger's. */
  | { readonly ok: false; readonly problem: string };

/** `operator`: whose word counts. */
export function readSignedLayer(document: Uint8Array, operator: string): Reading {
  const no = (problem: string): Reading => ({ ok: false, problem });
  if (document.length > LARGEST_DOCUMENT_BYTES) return no(`it is too long: ${document.length} bytes`);
  const found = jsonObject(new TextDecoder().decode(document));
  if (found === null) return no("it is not a JSON object");
  const { format, revision, time, by, text, signature } = found;
  if (format !== 1) return no("its format is not known; a newer version may have written it");
  if (!Number.isSafeInteger(revision) || Number(revision) < 1) return no("it has no revision");
  if (typeof text !== "string" || typeof by !== "string" || typeof signature !== "string") {
    return no("parts of it are missing");
  }
  if (typeof time !== "string" || !TIME.test(time) || !isMachineName(by)) {
    return no("it does not say who signed it when");
  }
  if (found["operator"] !== operator) return no("another key than the operator's has signed it");
  const key = publicBytesOf(operator);
  if (key === null) return no("[fleet].operator is no public key");
  const layer = { revision: Number(revision), time, by, text, operator };
  if (!isSignedBy(key, signedText(layer), signature)) return no("the operator has not signed it");
  return { ok: true, layer };
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/;

/** What it is for, in which fleet, and one line for each part; none of them has a line break. */
function signedText({ operator, revision, time, by, text }: SignedLayer): string {
  const parts = [operator, revision, time, by, text];
  return ["mountaineer fleet layer 1", ...parts.map((part) => JSON.stringify(part))].join("\n");
}
