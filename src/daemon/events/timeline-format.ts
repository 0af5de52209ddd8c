// The format of timeline.json, version 1: writing it, and reading whatever is found.
import {
  choice,
  count,
  list,
  nullable,
  number,
  object,
  type TypeOf,
  text as textShape,
} from "../../api/shape.ts";
import type { CallMinute } from "../../gateway/telemetry/call-minutes.ts";
import { errorText } from "../../runtime/errors.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { isoTime } from "../../runtime/time/clock.ts";
import { DAY_MS, MOST_SPANS, MOST_SUBJECTS, type Span } from "./spans.ts";

const VERSION = 1;
export const MINUTE_MS = 60_000;
/** Of a day. */
const MINUTES = DAY_MS / MINUTE_MS;
/** The newest, where there are more: 13 backends that are asked in every minute of a day. Read or written in 10 ms. */
export const MOST_KEPT_MINUTES = 20_000;
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
  calls: list(callsShape, MOST_SUBJECTS),
});

export function encodeTimeline(known: KnownTimeline): string {
  const spansOf = <State, Told>(
    subjects: ReadonlyMap<string, readonly Span<State>[]>,
    tell: (state: State) => Told,
  ) =>
    [...subjects].map(([name, spans]) => ({
      name,
      spans: spans.map(({ fromMs, toMs, isOpen, state }) => ({
        from: isoTime(fromMs),
        to: isOpen ? null : isoTime(toMs),
        ...tell(state),
      })),
    }));
  const file: TypeOf<typeof fileShape> = {
    known_since: isoTime(known.sinceMs),
    saved_at: isoTime(known.untilMs),
    gaps: known.gaps
      .slice(-MOST_GAPS)
      .map(({ fromMs, toMs }) => ({ from: isoTime(fromMs), to: isoTime(toMs) })),
    shares: spansOf(known.shares, (state) => state),
    backends: spansOf(known.backends, (state) => ({ phase: state })),
    calls: newestMinutes(known.minutes).map(([backend, minutes]) => ({
      backend,
      minutes: minutes.map(({ atMs, calls, errors, latencyMs }) => [
        Math.floor(atMs / MINUTE_MS),
        calls,
        errors,
        latencyMs?.p50 ?? null,
        latencyMs?.p99 ?? null,
      ]),
    })),
  };
  return `${JSON.stringify({ version: VERSION, ...file })}\n`;
}

/** Never throws: whatever the text, it is one of the three kinds. */
export function decodeTimeline(text: string): DecodedTimeline {
  try {
    const value: unknown = JSON.parse(text);
    const { version } = objectOf(value);
    if (typeof version === "number" && version > VERSION) return { kind: "newer", version };
    if (version !== VERSION) throw new Error(`its version is ${JSON.stringify(version) ?? "missing"}`);
    const fault = fileShape.faultIn(value);
    if (fault !== null) throw new Error(`${fault.path}: not ${fault.expected}`);
    // Looked at just now.
    return { kind: "whole", known: knownIn(value as TypeOf<typeof fileShape>) };
  } catch (error) {
    return { kind: "corrupt", reason: text.trim() === "" ? "it is empty" : errorText(error) };
  }
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

function knownIn(file: TypeOf<typeof fileShape>): KnownTimeline {
  const untilMs = instant(file.saved_at);
  const times = ({ from, to }: { readonly from: string; readonly to: string | null }) => ({
    fromMs: instant(from),
    toMs: to === null ? untilMs : instant(to),
    isOpen: to === null,
  });
  return {
    sinceMs: instant(file.known_since),
    untilMs,
    gaps: file.gaps.map(times),
    shares: new Map(
      file.shares.map(({ name, spans }) => [
        name,
        spans.map(({ mount_state, active_interface, ...at }) => ({
          ...times(at),
          state: { mount_state, active_interface },
        })),
      ]),
    ),
    backends: new Map(
      file.backends.map(({ name, spans }) => [
        name,
        spans.map(({ phase: state, ...at }) => ({ ...times(at), state })),
      ]),
    ),
    minutes: new Map(
      file.calls.map(({ backend, minutes }) => [backend, minutes.map((row) => minuteOf(row))]),
    ),
  };
}

function minuteOf([minute, calls, errors, p50, p99]: readonly (number | null)[]): CallMinute {
  for (const one of [minute, calls, errors]) {
    const fault = count.faultIn(one);
    if (fault !== null) throw new Error(`calls: not ${fault.expected}`);
  }
  return {
    atMs: Number(minute) * MINUTE_MS,
    calls: Number(calls),
    errors: Number(errors),
    latencyMs: typeof p50 === "number" && typeof p99 === "number" ? { p50, p99 } : null,
  };
}

function instant(iso: string): number {
  const wallMs = Date.parse(iso);
  if (Number.isNaN(wallMs)) throw new Error(`${iso}: no time in ISO 8601`);
  return wallMs;
}
