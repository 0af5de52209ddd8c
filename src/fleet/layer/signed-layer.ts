// The fleet's layer of configuration as its operator signs it, and how such a document is read, whoever wrote it.
import type { X509Certificate } from "node:crypto";
import { LARGEST_LAYER_BYTES } from "../../config/layer/layer.ts";
import { isMachineName } from "../../config/values/fleet-values.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isSignedBy, publicBytesOf, signText, userKey } from "../keys/nkey.ts";
import { readAuthority, signAuthority } from "./authority.ts";
import { type Handover, MOST_CARRIED, readHandovers, SIGNED_TIME, stepsBetween } from "./handovers.ts";

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

/**
 * `key`: the operator's 32 private bytes; `handovers`: those that lead to it, oldest first, of which the newest travel with
 * it; `nextAuthority`: that of the fleet's server from some day on, DER in base64; null: as before.
 */
export function signLayer(
  words: LayerWords,
  key: Uint8Array,
  handovers: readonly Handover[] = [],
  nextAuthority: string | null = null,
): string {
  const { revision, time, by, text } = words;
  const operator = userKey(key);
  const signature = signText(key, signedText({ ...words, operator }));
  const carried = {
    ...(handovers.length === 0 ? {} : { handovers: handovers.slice(-MOST_CARRIED) }),
    ...(nextAuthority === null ? {} : { authority: signAuthority(nextAuthority, key) }),
  };
  return `${JSON.stringify({ format: 1, revision, time, by, operator, text, signature, ...carried })}\n`;
}

export type LayerReading =
  | {
      readonly ok: true;
      readonly layer: SignedLayer;
      /** How the key that counted went over to the signer's; empty: that is the one. */
      readonly steps: readonly Handover[];
      /** What the fleet's server shows from some day on; null: it says nothing of that. */
      readonly authority: X509Certificate | null;
    }
  /** `problem`: why it counts for nothing, in words that are no stranger's. */
  | { readonly ok: false; readonly problem: string };

interface Trusted {
  /** Whose word counts. */
  readonly operator: string;
  /** Whose word counted before, and does not any more. */
  readonly earlier: readonly string[];
}

export function readSignedLayer(document: Uint8Array, { operator, earlier }: Trusted): LayerReading {
  const no = (problem: string): LayerReading => ({ ok: false, problem });
  if (document.length > LARGEST_DOCUMENT_BYTES) return no(`it is too long: ${document.length} bytes`);
  const found = jsonObject(new TextDecoder().decode(document));
  if (found === null) return no("it is not a JSON object");
  const { format, revision, time, by, text, signature } = found;
  if (format !== 1) return no("its format is not known; a newer version may have written it");
  if (!Number.isSafeInteger(revision) || Number(revision) < 1) return no("it has no revision");
  if (typeof text !== "string" || typeof by !== "string" || typeof signature !== "string") {
    return no("parts of it are missing");
  }
  if (typeof time !== "string" || !SIGNED_TIME.test(time) || !isMachineName(by)) {
    return no("it does not say who signed it when");
  }
  const signer = found["operator"];
  if (typeof signer !== "string") return no("parts of it are missing");
  if (earlier.includes(signer)) return no("a key has signed it that was the operator's, and is not any more");
  const handovers = readHandovers(found["handovers"] ?? [], MOST_CARRIED) ?? [];
  const steps = signer === operator ? [] : stepsBetween(operator, signer, handovers, earlier);
  if (steps === null) return no("another key than the operator's has signed it");
  const key = publicBytesOf(signer);
  if (key === null) return no("[fleet].operator is no public key");
  const layer = { revision: Number(revision), time, by, text, operator: signer };
  if (!isSignedBy(key, signedText(layer), signature)) return no("the operator has not signed it");
  return { ok: true, layer, steps, authority: readAuthority(found["authority"], signer) };
}

/** What it is for, in which fleet, and one line for each part; none of them has a line break. */
function signedText({ operator, revision, time, by, text }: SignedLayer): string {
  const parts = [operator, revision, time, by, text];
  return ["mountaineer fleet layer 1", ...parts.map((part) => JSON.stringify(part))].join("\n");
}
