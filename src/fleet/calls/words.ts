// What machines say of calls in words: which backends one offers, and which one another wants to use.
import { parseBackendName } from "../../config/values/backend-names.ts";
import { isObject, jsonObject } from "../../runtime/text/json-object.ts";
import { isId, LONGEST_WORDS } from "./frames.ts";
import { isSharesRoot, type LentPlace, placeIn, placeOf } from "./places.ts";

export const MOST_OFFERED = 64;
const LONGEST_OFFER = 8 * 1024;
/** For the keys around the places. */
const ROOM_AROUND = 64;

export interface Offer {
  /** The daemon that offers them. */
  readonly instance: string;
  /** Names, each once, in order. Empty: nothing, or that daemon ends. */
  readonly backends: readonly string[];
  /** Where that machine has its shares; null: it does not say. */
  readonly sharesRoot: string | null;
  /** By backend, of those that it says it of. */
  readonly places: ReadonlyMap<string, LentPlace>;
}

const NONE: Offer["places"] = new Map();
type SaidOffer = Pick<Offer, "instance" | "backends"> & Partial<Offer>;

/** What does not fit is told of the names alone. */
export function offerText({ instance, backends, sharesRoot = null, places = NONE }: SaidOffer): string {
  const names = backends.slice(0, MOST_OFFERED);
  const offer = { format: 1, instance, backends: names };
  const whole = JSON.stringify({ ...offer, shares_root: sharesRoot });
  let left = LONGEST_OFFER - Buffer.byteLength(whole) - ROOM_AROUND;
  const told: [string, LentPlace][] = [];
  for (const name of sharesRoot === null ? [] : names) {
    const place = places.get(name);
    const size = place === undefined ? 0 : Buffer.byteLength(JSON.stringify([name, place]));
    if (place === undefined || size > left || placeOf(place) === null) continue;
    left -= size;
    told.push([name, place]);
  }
  if (sharesRoot === null || told.length === 0 || !isSharesRoot(sharesRoot)) return JSON.stringify(offer);
  return JSON.stringify({ ...offer, shares_root: sharesRoot, places: Object.fromEntries(told) });
}

/** Null: it is none that this version understands. */
export function readOffer(bytes: Uint8Array): Offer | null {
  const value = bytes.length > LONGEST_OFFER ? null : jsonObject(new TextDecoder().decode(bytes));
  if (value?.["format"] !== 1) return null;
  const { instance, backends } = value;
  if (typeof instance !== "string" || !isId(instance) || !Array.isArray(backends)) return null;
  if (backends.length > MOST_OFFERED || !backends.every(isBackendName)) return null;
  const names = [...new Set(backends)].toSorted();
  const { shares_root: sharesRoot, places } = value;
  const isToldOf = isSharesRoot(sharesRoot) && isObject(places);
  return {
    instance,
    backends: names,
    sharesRoot: isSharesRoot(sharesRoot) ? sharesRoot : null,
    places: new Map(isToldOf ? names.flatMap((name) => placeIn(places, name)) : []),
  };
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
