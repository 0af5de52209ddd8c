// The messages between carrier and daemon: lines of JSON over a unix socket, checked on both sides.
import type { ProcessIdentity } from "../../runtime/process/process-identity.ts";
import { isObject, jsonObject } from "../../runtime/text/json-object.ts";
import type {
  CarriedKind,
  CarriedMount,
  CarriedPhase,
  CarriedRoute,
  CarriedShare,
  CarrierNotice,
  JournalEntry,
  MoveOutcome,
  RouteEndpoint,
} from "../carrier.ts";

/**
 * A carrier serves daemons of the previous and the next version, too; both sides ignore members that they do not know.
 */
export const PROTOCOL_VERSION = 1;
/** The form of the lines themselves, which never changes. */
const LINE_VERSION = 1;
/** A question is below 2 KB; a list of 200 shares 100 KB. */
export const LINE_BYTES_AT_MOST = 1024 * 1024;
const NAME_CHARACTERS_AT_MOST = 1_024;

export function speaksWith(protocol: unknown): boolean {
  return typeof protocol === "number" && Math.abs(protocol - PROTOCOL_VERSION) <= 1;
}

/** One line; null for what is not one of this form. */
export function parseLine(line: string): Readonly<Record<string, unknown>> | null {
  const message = jsonObject(line);
  return message?.["v"] === LINE_VERSION ? message : null;
}

export function formatLine(message: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify({ v: LINE_VERSION, ...message })}\n`;
}

export function parseName(value: unknown): string | null {
  if (typeof value !== "string" || value === "") return null;
  return value.length <= NAME_CHARACTERS_AT_MOST ? value : null;
}

/** Reads one of these texts; null for anything else. */
function oneOf<Value extends string>(values: readonly Value[]): (value: unknown) => Value | null {
  return (value) => values.find((known) => known === value) ?? null;
}

export const parseRoute = oneOf<CarriedRoute>(["tb", "fallback"]);
export const parseKind = oneOf<CarriedKind>(["rclone", "cifs", "netfs"]);
const parsePhase = oneOf<CarriedPhase>(["carrying", "waiting", "unconfirmed", "refusing"]);
const parseWhat = oneOf<CarrierNotice["what"]>([
  "stalled",
  "answered",
  "unconfirmed",
  "confirmed",
  "lost",
  "moved",
  "phase",
  "gone",
]);

/** null: any port. */
export function parseWantedPort(value: unknown): number | null {
  const isPort = typeof value === "number" && Number.isInteger(value) && value > 0 && value < 65_536;
  return isPort ? value : null;
}

export function parsePatience(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
}

/** The number of an outage, an epoch or a witness; null: there is none, or a previous version does not count them. */
export function parseNumber(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

export function parseEndpoint(value: unknown): RouteEndpoint | null {
  if (!isObject(value)) return null;
  const { port, localAddress } = value;
  const address = parseName(value["address"]);
  if (address === null || typeof port !== "number" || !Number.isInteger(port)) return null;
  if (port < 1 || port > 65_535) return null;
  return { address, port, localAddress: parseName(localAddress) };
}

export function parseEndpoints(value: unknown): Partial<Record<CarriedRoute, RouteEndpoint>> {
  if (!isObject(value)) return {};
  const tb = parseEndpoint(value["tb"]);
  const fallback = parseEndpoint(value["fallback"]);
  return { ...(tb === null ? {} : { tb }), ...(fallback === null ? {} : { fallback }) };
}

export function parseMount(value: unknown): CarriedMount | null {
  if (!isObject(value)) return null;
  const { id, path, process } = value;
  if (typeof id !== "string" || typeof path !== "string") return null;
  if (process === null || process === undefined) return { id, path, process: null };
  const identity = parseIdentity(process);
  return identity === null ? null : { id, path, process: identity };
}

export function parseIdentity(value: unknown): ProcessIdentity | null {
  if (!isObject(value)) return null;
  const { pid, startTime } = value;
  return typeof pid === "number" && typeof startTime === "string" ? { pid, startTime } : null;
}

export function parseJournalEntry(value: unknown): JournalEntry | null {
  if (!isObject(value)) return null;
  const { share, at, reason } = value;
  const from = parseRoute(value["from"]);
  const to = parseRoute(value["to"]);
  if (typeof share !== "string" || typeof at !== "number" || typeof reason !== "string") return null;
  return from === null || to === null ? null : { share, at, from, to, reason };
}

export function parseNotice(value: unknown): CarrierNotice | null {
  if (!isObject(value) || typeof value["share"] !== "string") return null;
  const what = parseWhat(value["what"]);
  return what === null ? null : { share: value["share"], what };
}

/** `aheadMs`: how far the reader's monotonic clock is ahead of the carrier's. */
export function parseShare(value: unknown, aheadMs: number): CarriedShare | null {
  if (!isObject(value)) return null;
  const share = parseName(value["share"]);
  const kind = parseKind(value["kind"]);
  const route = parseRoute(value["route"]);
  const phase = parsePhase(value["phase"]);
  const { port } = value;
  if (share === null || kind === null || route === null || phase === null || typeof port !== "number")
    return null;
  const count = (name: string): number => (typeof value[name] === "number" ? value[name] : 0);
  const time = (name: string): number | null =>
    typeof value[name] === "number" ? value[name] + aheadMs : null;
  return {
    share,
    kind,
    port,
    route,
    phase,
    endpoint: parseEndpoint(value["endpoint"]) ?? { address: "", port: 0, localAddress: null },
    mount: parseMount(value["mount"]),
    connections: count("connections"),
    connectionsInAll: count("connectionsInAll"),
    bytesUp: count("bytesUp"),
    bytesDown: count("bytesDown"),
    longestWaitMs: count("longestWaitMs"),
    moves: count("moves"),
    lastAnswerAtMs: time("lastAnswerAtMs"),
    unansweredSinceMs: time("unansweredSinceMs"),
    routeLostAtMs: time("routeLostAtMs"),
    outage: parseNumber(value["outage"]),
    outageAtMove: parseNumber(value["outageAtMove"]),
    server: parseName(value["server"]),
    ...(value["witness"] === undefined ? {} : { witness: parseNumber(value["witness"]) }),
    epoch: parseNumber(value["epoch"]),
    refusedLogon: parseRefusedLogon(value["refusedLogon"], aheadMs),
    encrypted: value["encrypted"] === true,
  };
}

function parseRefusedLogon(value: unknown, aheadMs: number): { text: string; atMs: number } | null {
  if (!isObject(value)) return null;
  const { text, atMs } = value;
  return typeof text === "string" && typeof atMs === "number" ? { text, atMs: atMs + aheadMs } : null;
}

export function parseMoveOutcome(value: unknown): MoveOutcome | null {
  if (!isObject(value)) return null;
  const { ok, quiet, connections, tookMs, reason, text } = value;
  if (ok === true) {
    return {
      ok,
      quiet: quiet === true,
      connections: typeof connections === "number" ? connections : 0,
      tookMs: typeof tookMs === "number" ? tookMs : 0,
    };
  }
  if (reason !== "silent" && reason !== "refused" && reason !== "unknown_share") return null;
  return { ok: false, reason, text: typeof text === "string" ? text : "" };
}
