// The format of timeline.json, version 1: writing it, and reading whatever is found. Both in pieces, as a day of many is a
// lot of work: others come in between.
import { setImmediate } from "node:timers/promises";
import {
  anything,
  choice,
  count,
  list,
  nullable,
  number,
  object,
  type Shape,
  type TypeOf,
  text as textShape,
} from "../../api/shape.ts";
import type { CallMinute } from "../../gateway/telemetry/call-minutes.ts";
import { errorText } from "../../runtime/errors.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { isoTime } from "../../runtime/time/clock.ts";
import { createPauses } from "./pauses.ts";
import { DAY_MS, MOST_IN_ALL, MOST_SPANS, MOST_SUBJECTS, type Span } from "./spans.ts";

const VERSION = 1;
export const MINUTE_MS = 60_000;
/** Of a day. */
const MINUTES = DAY_MS / MINUTE_MS;
const MOST_CALLS = 2 ** 32 - 1;
/** The newest, where there are more: 41 backends that are asked in every minute of a day. */
export const MOST_KEPT_MINUTES = 60_000;
/** Read or told in about 2 ms. */
export const MINUTES_AT_ONCE = MINUTES;
/** Stretches of time without a daemon; the newest. */
export const MOST_GAPS = 400;

export type ShareState = TypeOf<typeof shareState>;
export type BackendPhase = TypeOf<typeof phase>;

/** Wall ms. */
export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
}

/** All that a timeline knows at `untilMs`; times are wall ms. */
export interface KnownTimeline {
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Nothing is known of these times. */
  readonly gaps: readonly Gap[];
  readonly shares: ReadonlyMap<string, readonly Span<ShareState>[]>;
  readonly backends: ReadonlyMap<string, readonly Span<BackendPhase>[]>;
  /** By backend. */
  readonly minutes: ReadonlyMap<string, readonly CallMinute[]>;
}

type DecodedTimeline =
  | { readonly kind: "whole"; readonly known: KnownTimeline }
  | { readonly kind: "newer"; readonly version: number }
  | { readonly kind: "corrupt"; readonly reason: string };

/** The route that a share is mounted over, if it is. */
const shareState = object({
  mount_state: choice("mounted", "unmounted", "error"),
  active_interface: choice("tb", "fallback", "none"),
});
export const PHASES = ["Pending", "Initializing", "Ready", "Degraded", "Failed", "ShuttingDown"] as const;
const phase = choice(...PHASES);

/** `to` null: it still was so when the file was written. */
const span = { from: textShape, to: nullable(textShape) };

/** Each minute's number since 1970, calls, errors, and the ms of p50 and p99 or twice null. */
const callsShape = object({ backend: textShape, minutes: list(list(nullable(number), 5), MINUTES) });

/** But for `calls`, whose entries are looked at one by one. */
const fileShape = object({
  known_since: textShape,
  saved_at: textShape,
  gaps: list(object({ from: textShape, to: textShape }), MOST_GAPS),
  shares: list(
    object({ name: textShape, spans: list(object({ ...span, ...shareState.fields }), MOST_SPANS) }),
    MOST_SUBJECTS,
  ),
  backends: list(
    object({ name: textShape, spans: list(object({ ...span, phase }), MOST_SPANS) }),
    MOST_SUBJECTS,
  ),
  calls: list(anything, MOST_SUBJECTS),
});
type TimelineFile = TypeOf<typeof fileShape>;

/** In pieces of a share or backend each: all at once a day of many would keep others waiting. */
export function* encodeTimeline(known: KnownTimeline): Generator<string, void> {
  const head = {
    version: VERSION,
    known_since: isoTime(known.sinceMs),
    saved_at: isoTime(known.untilMs),
    gaps: known.gaps
      .slice(-MOST_GAPS)
      .map(({ fromMs, toMs }) => ({ from: isoTime(fromMs), to: isoTime(toMs) })),
  };
  yield `${JSON.stringify(head).slice(0, -1)},"shares":[`;
  yield* commaSeparated(known.shares, ([name, spans]): TimelineFile["shares"][number] => ({
    name,
    spans: spans.map((one) => ({ ...encodeSpan(one), ...one.state })),
  }));
  yield '],"backends":[';
  yield* commaSeparated(known.backends, ([name, spans]): TimelineFile["backends"][number] => ({
    name,
    spans: spans.map((one) => ({ ...encodeSpan(one), phase: one.state })),
  }));
  yield '],"calls":[';
  yield* commaSeparated(
    newestMinutes(known.minutes),
    ([backend, minutes]): TypeOf<typeof callsShape> => ({
      backend,
      minutes: minutes.map(({ atMs, calls, errors, latencyMs }) => [
        Math.floor(atMs / MINUTE_MS),
        calls,
        errors,
        latencyMs?.p50 ?? null,
        latencyMs?.p99 ?? null,
      ]),
    }),
  );
  yield "]}\n";
}

function* commaSeparated<T>(entries: Iterable<T>, encode: (entry: T) => unknown): Generator<string, void> {
  let comma = "";
  for (const entry of entries) {
    yield `${comma}${JSON.stringify(encode(entry))}`;
    comma = ",";
  }
}

/** Never rejects: whatever the text, it is one of the three kinds. */
export async function decodeTimeline(text: string): Promise<DecodedTimeline> {
  try {
    const value: unknown = JSON.parse(text);
    const { version } = objectOf(value);
    if (typeof version === "number" && version > VERSION) return { kind: "newer", version };
    if (version !== VERSION) throw new Error(`its version is ${JSON.stringify(version) ?? "missing"}`);
    await setImmediate();
    return { kind: "whole", known: await knownIn(checked(fileShape, value)) };
  } catch (error) {
    return { kind: "corrupt", reason: text.trim() === "" ? "it is empty" : errorText(error) };
  }
}

function encodeSpan({ fromMs, toMs, isOpen }: Span<unknown>): { from: string; to: string | null } {
  return { from: isoTime(fromMs), to: isOpen ? null : isoTime(toMs) };
}

function newestMinutes(
  minutes: ReadonlyMap<string, readonly CallMinute[]>,
): readonly (readonly [string, readonly CallMinute[]])[] {
  const backends = [...minutes].slice(-MOST_SUBJECTS);
  const times = backends.flatMap(([, list]) => list.map(({ atMs }) => atMs));
  if (times.length <= MOST_KEPT_MINUTES) return backends;
  const tooOldMs = times.sort((one, other) => other - one)[MOST_KEPT_MINUTES] ?? 0;
  return backends.map(([name, list]) => [name, list.filter(({ atMs }) => atMs > tooOldMs)]);
}

function checked<T>(shape: Shape<T>, value: unknown, where = ""): T {
  const fault = shape.faultIn(value);
  if (fault !== null) {
    throw new Error(`${[where, fault.path].filter(Boolean).join(".")}: not ${fault.expected}`);
  }
  // Looked at just now.
  return value as T;
}

/** Rejects where it contradicts itself: what comes of it would, too. */
async function knownIn(file: TimelineFile): Promise<KnownTimeline> {
  const sinceMs = instant(file.known_since, "known_since");
  const untilMs = instant(file.saved_at, "saved_at");
  requireOrder(sinceMs, untilMs, "saved_at");
  const gaps = inOrder(file.gaps, untilMs, "gaps").map(([, { fromMs, toMs }]) => ({ fromMs, toMs }));
  const known = {
    sinceMs,
    untilMs,
    gaps,
    shares: byName(file.shares, ({ name, spans }) => [
      name,
      inOrder(spans, untilMs, `shares.${name}`).map(
        ([{ mount_state, active_interface }, at]): Span<ShareState> => ({
          ...at,
          state: { mount_state, active_interface },
        }),
      ),
    ]),
    backends: byName(file.backends, ({ name, spans }) => [
      name,
      inOrder(spans, untilMs, `backends.${name}`).map(
        ([{ phase: state }, at]): Span<BackendPhase> => ({ ...at, state }),
      ),
    ]),
    minutes: byName(await callsIn(file, untilMs), (calls) => calls),
  };
  requireAtMost(known.shares, MOST_IN_ALL, "shares");
  requireAtMost(known.backends, MOST_IN_ALL, "backends");
  requireAtMost(known.minutes, MOST_KEPT_MINUTES, "calls");
  return known;
}

async function callsIn({ calls }: TimelineFile, untilMs: number) {
  const found: (readonly [string, readonly CallMinute[]])[] = [];
  const pause = createPauses(MINUTES_AT_ONCE);
  for (const [index, entry] of calls.entries()) {
    const { backend, minutes } = checked(callsShape, entry, `calls.${index}`);
    found.push([backend, minutes.map((row) => minuteOf(row, untilMs, `calls.${backend}`))]);
    await pause(minutes.length);
  }
  return found;
}

function byName<T, V>(
  entries: readonly T[],
  read: (entry: T) => readonly [string, readonly V[]],
): ReadonlyMap<string, readonly V[]> {
  const map = new Map(entries.map(read));
  if (map.size !== entries.length) throw new Error("a name comes twice");
  return map;
}

function requireAtMost(
  map: ReadonlyMap<string, { readonly length: number }>,
  most: number,
  where: string,
): void {
  if (map.values().reduce((sum, { length }) => sum + length, 0) > most) {
    throw new Error(`${where}: more than ${most} entries`);
  }
}

/** Oldest first, without overlaps, none later than `untilMs`, and only the last one open. */
function inOrder<T extends { readonly from: string; readonly to: string | null }>(
  entries: readonly T[],
  untilMs: number,
  where: string,
): readonly (readonly [T, Omit<Span<unknown>, "state">])[] {
  let beforeMs = 0;
  return entries.map((entry, index) => {
    const fromMs = instant(entry.from, where);
    const isOpen = entry.to === null;
    if (isOpen && index < entries.length - 1) throw new Error(`${where}: one that is not the last is open`);
    const toMs = entry.to === null ? untilMs : instant(entry.to, where);
    requireOrder(beforeMs, fromMs, where);
    requireOrder(fromMs, toMs, where);
    requireOrder(toMs, untilMs, where);
    beforeMs = toMs;
    return [entry, { fromMs, toMs, isOpen }];
  });
}

function minuteOf(row: readonly (number | null)[], untilMs: number, where: string): CallMinute {
  const [minute = null, calls = null, errors = null, p50 = null, p99 = null] = row;
  for (const one of [minute, calls, errors]) {
    if (count.faultIn(one) !== null || Number(one) > MOST_CALLS) {
      throw new Error(`${where}: not ${count.expected}`);
    }
  }
  const atMs = Number(minute) * MINUTE_MS;
  requireOrder(atMs, untilMs, where);
  const isLatency = [p50 ?? 0, p99 ?? 0].every((ms) => ms >= 0 && ms <= DAY_MS);
  if ((p50 === null) !== (p99 === null) || !isLatency) throw new Error(`${where}: no such latency`);
  const latencyMs = p50 === null || p99 === null ? null : { p50, p99 };
  return { atMs, calls: Number(calls), errors: Number(errors), latencyMs };
}

function requireOrder(earlierMs: number, laterMs: number, where: string): void {
  if (!(earlierMs <= laterMs)) throw new Error(`${where}: times out of order`);
}

const ISO_INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/u;

function instant(iso: string, where: string): number {
  const wallMs = ISO_INSTANT.test(iso) ? Date.parse(iso) : Number.NaN;
  if (Number.isNaN(wallMs)) throw new Error(`${where}: no time in ISO 8601`);
  return wallMs;
}
