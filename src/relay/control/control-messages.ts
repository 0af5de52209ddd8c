// The messages between relay and daemon: JSON lines over a unix socket, checked on both sides.
import type { ProcessIdentity } from "../../runtime/process/process-identity.ts";
import {
  choice,
  flag,
  nullable,
  number,
  numberThat,
  object,
  optional,
  reader,
  text,
  textThat,
} from "../../runtime/shape.ts";
import { isObject, jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import type {
  JournalEntry,
  MoveOutcome,
  RelayedMount,
  RelayedShare,
  RelayNotice,
  RelayRoute,
  RouteEndpoint,
} from "../relay.ts";

/** A relay also serves daemons of the previous and the next version; both sides ignore unknown members. */
export const PROTOCOL_VERSION = 1;
/** The version in every line; the format of lines never changes. */
const LINE_VERSION = 1;
/** Far more than needed: a request has less than 2 KB, and a list of 200 shares less than 100 KB. */
export const LINE_BYTES_AT_MOST = 1024 * 1024;
const NAME_CHARACTERS_AT_MOST = 1_024;

export function speaksWith(protocol: unknown): boolean {
  return typeof protocol === "number" && Math.abs(protocol - PROTOCOL_VERSION) <= 1;
}

/** null if the line is not a message of this format. */
export function parseLine(line: string): Readonly<Record<string, unknown>> | null {
  const message = jsonObject(line);
  return message?.["v"] === LINE_VERSION ? message : null;
}

export function formatLine(message: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify({ v: LINE_VERSION, ...message })}\n`;
}

const nameShape = textThat("a name", ({ length }) => length > 0 && length <= NAME_CHARACTERS_AT_MOST);
export const parseName = reader(nameShape);
export const routeShape = choice("tb", "fallback");
export const parseRoute = reader(routeShape);
export const kindShape = choice("rclone", "fs", "cifs", "netfs");
export const parseKind = reader(kindShape);

const portShape = numberThat("a port", (port) => Number.isInteger(port) && port > 0 && port < 65_536);
export const parseWantedPort = reader(portShape);
export const parsePatience = reader(numberThat("a time from 0", (ms) => Number.isFinite(ms) && ms >= 0));
/** The value of `outage`, `epoch` or `witness`; null: none. */
export const parseNumber = reader(number);

export function parseEndpoint(value: unknown): RouteEndpoint | null {
  const { localAddress, ...members } = objectOf(value);
  const [address, port] = [parseName(members["address"]), parseWantedPort(members["port"])];
  return address === null || port === null ? null : { address, port, localAddress: parseName(localAddress) };
}

export function parseEndpoints(value: unknown): Partial<Record<RelayRoute, RouteEndpoint>> {
  const { tb: own, fallback: other } = objectOf(value);
  const [tb, fallback] = [parseEndpoint(own), parseEndpoint(other)];
  return { ...(tb === null ? {} : { tb }), ...(fallback === null ? {} : { fallback }) };
}

const identityShape = object({ pid: number, startTime: text });
export const parseIdentity: (value: unknown) => ProcessIdentity | null = reader(identityShape);
const mountOf = reader(
  object({ id: text, path: text, process: optional(nullable(identityShape)), repeats: optional(flag) }),
);

export function parseMount(value: unknown): RelayedMount | null {
  const found = mountOf(value);
  if (found === null) return null;
  const { id, path, process = null, repeats = false } = found;
  return { id, path, process, ...(repeats ? { repeats: true } : {}) };
}

export const parseJournalEntry: (value: unknown) => JournalEntry | null = reader(
  object({ share: text, at: number, from: routeShape, to: routeShape, reason: text }),
);

export const parseNotice: (value: unknown) => RelayNotice | null = reader(
  object({
    share: text,
    what: choice("stalled", "answered", "unconfirmed", "confirmed", "lost", "moved", "phase", "gone"),
  }),
);

const refusedLoginOf = reader(object({ text, atMs: number }));
const limitOf = reader(object({ most: number, waiting: number }));
const knownOf = reader(
  object({
    share: nameShape,
    kind: kindShape,
    port: number,
    route: routeShape,
    phase: choice("carrying", "waiting", "unconfirmed", "refusing"),
  }),
);

/** `aheadMs`: how far this process's monotonic clock is ahead of the relay's. */
export function parseShare(value: unknown, aheadMs: number): RelayedShare | null {
  const known = knownOf(value);
  if (known === null || !isObject(value)) return null;
  const count = (name: string): number => parseNumber(value[name]) ?? 0;
  const time = (name: string): number | null =>
    typeof value[name] === "number" ? value[name] + aheadMs : null;
  const refused = refusedLoginOf(value["refusedLogon"]);
  return {
    ...known,
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
    witness: parseNumber(value["witness"]),
    epoch: parseNumber(value["epoch"]),
    refusedLogon: refused && { ...refused, atMs: refused.atMs + aheadMs },
    encrypted: value["encrypted"] === true,
    limit: limitOf(value["limit"]),
  };
}

export function parseMoveOutcome(value: unknown): MoveOutcome | null {
  if (!isObject(value)) return null;
  const { ok, quiet, connections, tookMs, reason, text } = value;
  if (ok === true) {
    return {
      ok,
      quiet: quiet === true,
      connections: parseNumber(connections) ?? 0,
      tookMs: parseNumber(tookMs) ?? 0,
    };
  }
  if (reason !== "silent" && reason !== "refused" && reason !== "unknown_share") return null;
  return { ok: false, reason, text: typeof text === "string" ? text : "" };
}
