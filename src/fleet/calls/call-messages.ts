// The two JSON messages of calls between machines: the offer of a machine's backends, and the opening of a tunnel.
import { parseBackendName } from "../../config/values/backend-names.ts";
import { list, numberThat, object, reader, textThat } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isId, LONGEST_TEXT } from "./frames.ts";

export const MOST_OFFERED = 64;
const LONGEST_OFFER = 8 * 1024;

export interface Offer {
  /** The id of the daemon that offers the backends. */
  readonly instance: string;
  /**
   * Names of the offered backends, each once, sorted. Empty: the daemon offers nothing, or is about to end.
   */
  readonly backends: readonly string[];
}

export function offerText({ instance, backends }: Offer): string {
  return JSON.stringify({ format: 1, instance, backends: backends.slice(0, MOST_OFFERED) });
}

const id = textThat("an id", isId);
const backendName = textThat("a server's name", (name) => parseBackendName(name).ok);
const format = numberThat("1", (version) => version === 1);
const offerOf = reader(object({ format, instance: id, backends: list(backendName, MOST_OFFERED) }));

/** Returns null if the bytes are not an offer that this version understands. */
export function readOffer(bytes: Uint8Array): Offer | null {
  const offer = bytes.length > LONGEST_OFFER ? null : offerOf(jsonObject(new TextDecoder().decode(bytes)));
  if (offer === null) return null;
  return { instance: offer.instance, backends: [...new Set(offer.backends)].toSorted() };
}

export interface Opening {
  /** The id of the daemon that opens the tunnel. */
  readonly instance: string;
  readonly backend: string;
}

export function openingBytes({ instance, backend }: Opening): Buffer {
  return Buffer.from(JSON.stringify({ format: 1, instance, backend }));
}

const openingOf = reader(object({ format, instance: id, backend: backendName }));

export function readOpening(bytes: Uint8Array): Opening | null {
  const found = bytes.length > LONGEST_TEXT ? null : openingOf(jsonObject(new TextDecoder().decode(bytes)));
  return found === null ? null : { instance: found.instance, backend: found.backend };
}
