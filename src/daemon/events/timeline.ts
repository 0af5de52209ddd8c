// The last day of shares and backends: told by transitions, and looked at afresh when somebody asks. It begins with what
// the daemon before it knew.
import type { StatusReport } from "../../api/contract.ts";
import type { TimelineMinute, TimelineReport } from "../../api/timeline-contract.ts";
import type { CallMinute } from "../../gateway/telemetry/call-minutes.ts";
import type { Bus } from "../../runtime/bus.ts";
import { type Clock, isoTime, type Timer } from "../../runtime/time/clock.ts";
import type { ServiceTransition } from "./service-transitions.ts";
import { DAY_MS, Spans } from "./spans.ts";
import {
  type BackendPhase,
  type Gap,
  type KnownTimeline,
  MINUTE_MS,
  MOST_GAPS,
  PHASES,
  type ShareState,
} from "./timeline-format.ts";

/** Many transitions come at once: one look serves them all, ms. */
const LOOK_AFTER_MS = 100;
/** Until each share has been looked at once, ms. */
const LOOK_AGAIN_MS = 1_000;
/** Also where nothing is told, ms. */
const LOOK_EVERY_MS = 60_000;
/** So long without a look the machine slept, or the clock was set forward: what was the case then nobody knows, ms. */
export const UNWATCHED_MS = 150_000;
/** A handover takes no longer; what was known longer ago may have changed meanwhile, ms. */
const HANDED_OVER_MS = 60_000;
/** Of all backends together, in one answer. */
export const MOST_MINUTES = 10_000;
/** Minutes that are told as one, where there are too many; the last divides a day. */
const STEPS = [1, 5, 15, 60] as const;

export interface TimelineOptions {
  readonly clock: Clock;
  readonly bus: Pick<Bus<ServiceTransition>, "subscribe">;
  /** What is known now. */
  readonly status: () => Pick<StatusReport, "shares" | "backends">;
  /** A share was looked at since the start: before that nobody knows whether it is mounted. */
  readonly isSeen: (share: string) => boolean;
  /** By backend, oldest first. */
  readonly minutes: () => ReadonlyMap<string, readonly CallMinute[]>;
}

interface Timeline extends Disposable {
  /** How it was over the last day, as far as the daemon knows. */
  timeline(): Promise<TimelineReport>;
  /** Grows with what happens to shares and backends. */
  readonly changes: number;
  /** All that the next daemon should know, looked at afresh. */
  known(): KnownTimeline;
}

/**
 * Begins to know now; `before` is what the last daemon knew, or null. `follows`: that one has handed over, so that what
 * was the case then still is. Else nothing is known of the time from its last word until now.
 */
export function startTimeline(
  { clock, bus, status, isSeen, minutes }: TimelineOptions,
  before: KnownTimeline | null,
  follows: boolean,
): Timeline {
  const shares = new Spans<ShareState>(
    (one, other) => one.mount_state === other.mount_state && one.active_interface === other.active_interface,
  );
  const backends = new Spans<BackendPhase>((one, other) => one === other);
  const past = takeUp(before, { shares, backends }, follows, clock.wallMs());
  let watchedMs = clock.wallMs();
  let soon: Timer | null = null;

  const watch = (): number => {
    const nowMs = clock.wallMs();
    if (nowMs - watchedMs > UNWATCHED_MS) {
      for (const spans of [shares, backends]) spans.keepOnly(new Set(), watchedMs);
      past.addGap({ fromMs: watchedMs, toMs: nowMs });
    }
    watchedMs = nowMs;
    return nowMs;
  };
  const look = (): void => {
    soon?.[Symbol.dispose]();
    soon = null;
    const nowMs = watch();
    const now = status();
    for (const { name, mount_state, active_interface } of now.shares) {
      if (isSeen(name)) shares.note(name, { mount_state, active_interface }, nowMs);
      else soon ??= clock.setTimer(LOOK_AGAIN_MS, look);
    }
    shares.keepOnly(new Set(now.shares.map(({ name }) => name)), nowMs);
    for (const { name, phase } of now.backends ?? []) backends.note(name, phase, nowMs);
    backends.keepOnly(new Set((now.backends ?? []).map(({ name }) => name)), nowMs);
  };
  const known = (): KnownTimeline => {
    look();
    const nowMs = watchedMs;
    past.forget(nowMs);
    return {
      sinceMs: past.sinceMs,
      untilMs: nowMs,
      gaps: past.gaps,
      shares: shares.told(nowMs),
      backends: backends.told(nowMs),
      minutes: together(past.minutes, minutes()),
    };
  };
  const unsubscribe = bus.subscribe((transition) => {
    const { name } = transition;
    // A phase may be over before the look.
    if (name === "backend.phase" && isPhase(transition.to)) {
      backends.note(transition.backend, transition.to, watch());
    }
    if (/^(?:share|backend|config)\./.test(name)) soon ??= clock.setTimer(LOOK_AFTER_MS, look);
  });
  const beat = (): void => {
    timer = clock.setTimer(LOOK_EVERY_MS, beat);
    look();
  };
  let timer = clock.setTimer(LOOK_EVERY_MS, beat);
  look();

  return {
    get changes() {
      return shares.changes + backends.changes;
    },
    known,
    timeline: async () => reportOf(known()),
    [Symbol.dispose]() {
      unsubscribe();
      timer[Symbol.dispose]();
      soon?.[Symbol.dispose]();
      soon = null;
    },
  };
}

/** What this daemon did not see itself. */
interface Past {
  readonly sinceMs: number;
  readonly gaps: readonly Gap[];
  readonly minutes: KnownTimeline["minutes"];
  addGap(gap: Gap): void;
  /** What is older than a day; and what is later than now, for the clock may have been set back. */
  forget(nowMs: number): void;
}

function takeUp(
  before: KnownTimeline | null,
  into: { readonly shares: Spans<ShareState>; readonly backends: Spans<BackendPhase> },
  follows: boolean,
  nowMs: number,
): Past {
  let sinceMs = nowMs;
  let gaps: readonly Gap[] = [];
  let minutes: KnownTimeline["minutes"] = new Map();
  const addGap = (gap: Gap): void => {
    gaps = [...gapsUntil(gaps, gap.fromMs), gap];
    const forgotten = gaps.slice(0, -MOST_GAPS).at(-1);
    gaps = gaps.slice(-MOST_GAPS);
    if (forgotten !== undefined) sinceMs = forgotten.toMs;
  };
  if (before !== null && before.untilMs > nowMs - DAY_MS) {
    const goesOn = follows && before.untilMs >= nowMs - HANDED_OVER_MS;
    for (const [name, spans] of before.shares) into.shares.restore(name, spans, goesOn, nowMs);
    for (const [name, spans] of before.backends) into.backends.restore(name, spans, goesOn, nowMs);
    ({ sinceMs, gaps, minutes } = before);
    if (!goesOn && before.untilMs < nowMs) addGap({ fromMs: before.untilMs, toMs: nowMs });
  }
  return {
    get sinceMs() {
      return sinceMs;
    },
    get gaps() {
      return gaps;
    },
    get minutes() {
      return minutes;
    },
    addGap,
    forget(now) {
      sinceMs = Math.min(sinceMs, now);
      gaps = gapsUntil(gaps, now);
      minutes = ofLastDay(minutes, now);
    },
  };
}

/** Those of the day before. */
function gapsUntil(gaps: readonly Gap[], nowMs: number): readonly Gap[] {
  return gaps.flatMap(({ fromMs, toMs }) => {
    const gap = { fromMs: Math.max(fromMs, nowMs - DAY_MS), toMs: Math.min(toMs, nowMs) };
    return gap.fromMs < gap.toMs ? [gap] : [];
  });
}

function ofLastDay(minutes: KnownTimeline["minutes"], nowMs: number): KnownTimeline["minutes"] {
  return new Map(
    [...minutes].flatMap(([name, list]) => {
      const kept = list.filter(({ atMs }) => atMs > nowMs - DAY_MS && atMs <= nowMs);
      return kept.length === 0 ? [] : [[name, kept]];
    }),
  );
}

/** Of both, oldest first. A minute in which one daemon ended and the next began is one. */
function together(
  earlier: KnownTimeline["minutes"],
  own: KnownTimeline["minutes"],
): KnownTimeline["minutes"] {
  const all = new Map(earlier);
  for (const [name, minutes] of own) {
    const before = all.get(name);
    all.set(name, before === undefined ? minutes : merged(before, minutes));
  }
  return all;
}

/** Of two lists that are in order. In one go: there may be a day of each of many backends. */
function merged(earlier: readonly CallMinute[], own: readonly CallMinute[]): readonly CallMinute[] {
  const all: CallMinute[] = [];
  let next = 0;
  for (const minute of own) {
    for (let one = earlier[next]; one !== undefined && one.atMs < minute.atMs; one = earlier[next]) {
      all.push(one);
      next += 1;
    }
    const same = earlier[next];
    if (same?.atMs === minute.atMs) {
      all.push({ atMs: minute.atMs, ...summed([same, minute]) });
      next += 1;
    } else all.push(minute);
  }
  return [...all, ...earlier.slice(next)];
}

function reportOf(known: KnownTimeline): TimelineReport {
  const { sinceMs, untilMs, gaps, shares, backends, minutes } = known;
  const step = stepFor(minutes);
  const times = ({ fromMs, toMs }: Gap) => ({ from: isoTime(fromMs), to: isoTime(toMs) });
  return {
    from: isoTime(untilMs - DAY_MS),
    to: isoTime(untilMs),
    known_since: isoTime(sinceMs),
    gaps: gaps.map(times),
    minute_step: step,
    shares: [...shares].map(([name, spans]) => ({
      name,
      spans: spans.map((span) => ({
        ...times(span),
        state: span.state.mount_state,
        route: span.state.active_interface,
      })),
    })),
    backends: [...backends].map(([name, spans]) => ({
      name,
      spans: spans.map((span) => ({ ...times(span), phase: span.state })),
      minutes: inSteps(minutes.get(name) ?? [], step),
    })),
  };
}

function isPhase(word: string): word is BackendPhase {
  return PHASES.some((phase) => phase === word);
}

/** The finest with which the answer stays within bounds. */
function stepFor(counted: KnownTimeline["minutes"]): number {
  const total = [...counted.values()].reduce((sum, { length }) => sum + length, 0);
  return STEPS.find((step) => total / step <= MOST_MINUTES) ?? 60;
}

function inSteps(minutes: readonly CallMinute[], step: number): TimelineMinute[] {
  const grouped = Map.groupBy(minutes, ({ atMs }) => Math.floor(atMs / MINUTE_MS / step));
  return [...grouped].map(([index, group]) => {
    const { calls, errors, latencyMs } = summed(group);
    return {
      at: isoTime(index * step * MINUTE_MS),
      calls,
      errors,
      p50_ms: latencyMs?.p50 ?? null,
      p99_ms: latencyMs?.p99 ?? null,
    };
  });
}

/** Of p50 the mean by calls, of p99 the highest. */
function summed(group: readonly CallMinute[]): Omit<CallMinute, "atMs"> {
  const answered = group.flatMap(({ calls, latencyMs }) =>
    latencyMs === null ? [] : [{ calls, ...latencyMs }],
  );
  const weight = sumOf(answered, ({ calls }) => calls);
  const mean = weight === 0 ? null : sumOf(answered, ({ calls, p50 }) => calls * p50) / weight;
  return {
    calls: sumOf(group, ({ calls }) => calls),
    errors: sumOf(group, ({ errors }) => errors),
    latencyMs:
      mean === null
        ? null
        : { p50: Number(mean.toPrecision(3)), p99: Math.max(...answered.map(({ p99 }) => p99)) },
  };
}

function sumOf<T>(list: readonly T[], value: (one: T) => number): number {
  return list.reduce((sum, one) => sum + value(one), 0);
}
