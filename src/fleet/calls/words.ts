// What machines say of calls in words: which backends one offers, and which one another wants to use.
import { parseBackendName } from "../../config/backend-names.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isId, LONGEST_WORDS } from "./frames.ts";

export const MOST_OFFERED = 64;
const LONGEST_OFFER = 8 * 1024;

export interface Offer {
  /** The daemon that offers them. */
  readonly instance: string;
  /** Names, each once, in order. Empty: nothing, or that daemon ends. */
  readonly backends: readonly string[];
}

export function offerText({ instance, backends }: Offer): string {
  return JSON.stringify({ format: 1, instance, backends: backends.slice(0, MOST_OFFERED) });
}

/** Null: it is none that this version understands. */
export function readOffer(bytes: Uint8Array): Offer | null {
  const value = bytes.length > LONGEST_OFFER ? null : jsonObject(new TextDecoder().decode(bytes));
  if (value?.["format"] !== 1) return null;
  const { instance, backends } = value;
  if (typeof instance !== "string" || !isId(instance) || !Array.isArray(backends)) return null;
  if (backends.length > MOST_OFFERED || !backends.every(isBackendName)) return null;
  return { instance, backends: [...new Set(backends)].toSorted() };
}

function isBackendName(value: unknown): value is string {
  return typeof value === "string" && parseBackendName(value).ok;
}

export interface Opening {
  /** The daemon that opens. */
  readonly instance: string;
  /** Null: it brings a request of a session that began there. */
  readonly backend: string | null;
}

export function openingBytes({ instance, backend }: Opening): Buffer {
  const wanted = backend === null ? { sessions: true } : { backend };
  return Buffer.from(JSON.stringify({ format: 1, instance, ...wanted }));
}

export function readOpening(bytes: Uint8Array): Opening | null {
  const value = bytes.length > LONGEST_WORDS ? null : jsonObject(new TextDecoder().decode(bytes));
  if (value?.["format"] !== 1) return null;
  const { instance, backend, sessions } = value;
  if (typeof instance !== "string" || !isId(instance)) return null;
  if (sessions === true && backend === undefined) return { instance, backend: null };
  return isBackendName(backend) ? { instance, backend } : null;
}
