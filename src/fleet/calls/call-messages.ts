// The two JSON messages of calls between machines: the offer of a machine's backends, and the opening of a tunnel.
import { parseBackendName } from "../../config/values/backend-names.ts";
import { anything, list, numberThat, object, optional, reader, textThat } from "../../runtime/shape.ts";
import { jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import { isId, LONGEST_WORDS } from "./frames.ts";
import { type ExportedReplica, isSharesRoot, placeIn, placeOf } from "./replicas.ts";

export const MOST_OFFERED = 64;
const LONGEST_OFFER = 8 * 1024;
/** Bytes of an offer that are reserved for the JSON around its places. */
const ROOM_AROUND = 64;

export interface Offer {
  /** The id of the daemon that offers the backends. */
  readonly instance: string;
  /**
   * Names of the offered backends, each once, sorted. Empty: the daemon offers nothing, or is about to end.
   */
  readonly backends: readonly string[];
  /** The absolute path of the folder that has the offering machine's shares; null: not known. */
  readonly sharesRoot: string | null;
  /** Places by backend name. Not every backend has a place. */
  readonly places: ReadonlyMap<string, ExportedReplica>;
}

type SentOffer = Pick<Offer, "instance" | "backends"> & Partial<Offer>;

/** The JSON of an offer, without the places that would make it too long. */
export function offerText({ instance, backends, sharesRoot = null, places = new Map() }: SentOffer): string {
  const names = backends.slice(0, MOST_OFFERED);
  const offer = { format: 1, instance, backends: names };
  const whole = JSON.stringify({ ...offer, shares_root: sharesRoot });
  let left = LONGEST_OFFER - Buffer.byteLength(whole) - ROOM_AROUND;
  const sent: [string, ExportedReplica][] = [];
  for (const name of sharesRoot === null ? [] : names) {
    const place = places.get(name);
    const size = place === undefined ? 0 : Buffer.byteLength(JSON.stringify([name, place]));
    if (place === undefined || size > left || placeOf(place) === null) continue;
    left -= size;
    sent.push([name, place]);
  }
  if (sent.length === 0 || !isSharesRoot(sharesRoot)) return JSON.stringify(offer);
  return JSON.stringify({ ...offer, shares_root: sharesRoot, places: Object.fromEntries(sent) });
}

const id = textThat("an id", isId);
const backendName = textThat("a backend's name", (name) => parseBackendName(name).ok);
const format = numberThat("1", (version) => version === 1);
const offerOf = reader(
  object({
    format,
    instance: id,
    backends: list(backendName, MOST_OFFERED),
    shares_root: optional(anything),
    places: optional(anything),
  }),
);

/** Returns null if the bytes are not an offer that this version understands. */
export function readOffer(bytes: Uint8Array): Offer | null {
  const offer = bytes.length > LONGEST_OFFER ? null : offerOf(jsonObject(new TextDecoder().decode(bytes)));
  if (offer === null) return null;
  const { instance, shares_root: root, places } = offer;
  const backends = [...new Set(offer.backends)].toSorted();
  const sharesRoot = isSharesRoot(root) ? root : null;
  const placed = sharesRoot === null ? [] : backends.flatMap((name) => placeIn(objectOf(places), name));
  return { instance, backends, sharesRoot, places: new Map(placed) };
}

export interface Opening {
  /** The id of the daemon that opens the tunnel. */
  readonly instance: string;
  /** null: the tunnel carries a request for a session that began on the other machine. */
  readonly backend: string | null;
}

export function openingBytes({ instance, backend }: Opening): Buffer {
  const target = backend === null ? { sessions: true } : { backend };
  return Buffer.from(JSON.stringify({ format: 1, instance, ...target }));
}

const openingOf = reader(
  object({ format, instance: id, backend: optional(backendName), sessions: optional(anything) }),
);

export function readOpening(bytes: Uint8Array): Opening | null {
  const found = bytes.length > LONGEST_WORDS ? null : openingOf(jsonObject(new TextDecoder().decode(bytes)));
  if (found === null) return null;
  const { instance, backend, sessions } = found;
  if (backend !== undefined) return { instance, backend };
  return sessions === true ? { instance, backend: null } : null;
}
