// The timeline: the states of shares and backends over the last day. Backends' phases are recorded at each transition,
// other states at each check: soon after a transition, every minute, and before each report. A timeline
// continues the one of the previous daemon. Times are wall-clock ms.
import { isDeepStrictEqual } from "node:util";
import type { StatusReport } from "../../api/contract/contract.ts";
import { backendStateShape, shareStateShape, type TimelineReport } from "../../api/contract/timeline.ts";
import { backendImpact, phaseImpact, shareImpact } from "../../api/labels/impact.ts";
import type { Bus } from "../../runtime/bus.ts";
import { list, nullable, number, object, type Shape, type TypeOf, text } from "../../runtime/shape.ts";
import { type Clock, isoTime, type Timer } from "../../runtime/time/clock.ts";
import type { ServiceTransition } from "./service-transitions.ts";

export const DAY_MS = 24 * 3_600_000;
/** Delay of a reading after a transition, ms: transitions come in bursts, and one reading serves them all. */
const CHECK_AFTER_MS = 100;
/** Time between readings until each share has been observed once, ms. */
const RECHECK_MS = 1_000;
/** Time between two readings of the state while no transition occurs, ms. */
const CHECK_EVERY_MS = 60_000;
/**
 * After this long without a reading, ms, the machine has slept or the clock was set forward, and the states since the
 * last reading are unknown.
 */
export const UNWATCHED_MS = 150_000;
/** Longest handover after which the previous daemon's states still hold, ms. */
const HANDED_OVER_MS = 60_000;
/**
 * Maximum number of changes of all shares, and of all backends. If there are more, only half as many are kept:
 * subjects with many changes lose their oldest ones.
 */
export const MOST_CHANGES = 5_000;
/** How many gaps are kept at most, the newest ones. A gap is a period without known states. */
export const MOST_GAPS = 400;

/** `state` is null after the subject was removed. */
const changesOf = <State>(state: Shape<State>) =>
  list(object({ at: number, name: text, state: nullable(state) }));

/** The whole timeline until the time `until`; each list begins with the oldest item. */
export const knownShape = object({
  since: number,
  until: number,
  gaps: list(object({ from: number, to: number })),
  shares: changesOf(shareStateShape),
  backends: changesOf(backendStateShape),
});
export type KnownTimeline = TypeOf<typeof knownShape>;
type Gap = KnownTimeline["gaps"][number];

interface Change<State> {
  readonly at: number;
  readonly name: string;
  readonly state: State | null;
}

export interface TimelineOptions {
  readonly clock: Clock;
  readonly bus: Pick<Bus<ServiceTransition>, "subscribe">;
  readonly status: () => Pick<StatusReport, "shares" | "backends">;
  /** True once a share was observed since the start; until then, its status is the stored one. */
  readonly isObserved: (share: string) => boolean;
}

/**
 * Starts the timeline. `before`: the timeline of the previous daemon, or null. `follows`: that daemon has
 * handed over, so its last states still hold; otherwise the time since its last check is a gap.
 */
export function startTimeline(
  { clock, bus, status, isObserved }: TimelineOptions,
  before: KnownTimeline | null,
  follows: boolean,
) {
  const startMs = clock.wallMs();
  const past = before !== null && before.until > startMs - DAY_MS ? before : null;
  const shares = new Changes<TypeOf<typeof shareStateShape>>(past?.shares ?? []);
  const backends = new Changes<TypeOf<typeof backendStateShape>>(past?.backends ?? []);
  let since = past?.since ?? startMs;
  let gaps = past?.gaps ?? [];
  let watchedMs = Math.min(past?.until ?? startMs, startMs);
  let soon: Timer | null = null;

  const forget = (from: number, until: number): void => {
    for (const changes of [shares, backends]) changes.forget(from, until);
  };
  const addGap = (to: number): void => {
    for (const changes of [shares, backends]) changes.keepOnly(new Set(), watchedMs);
    gaps = [...gapsUntil(gaps, watchedMs), ...gapsUntil([{ from: watchedMs, to }], to)];
    since = gaps.at(-MOST_GAPS - 1)?.to ?? since;
    gaps = gaps.slice(-MOST_GAPS);
  };
  const watch = (): number => {
    const nowMs = clock.wallMs();
    if (nowMs - watchedMs > UNWATCHED_MS) addGap(nowMs);
    // If the clock was set back, changes later than now are dropped.
    if (nowMs < watchedMs) forget(nowMs - DAY_MS, nowMs);
    watchedMs = nowMs;
    return nowMs;
  };
  const check = (): void => {
    soon?.[Symbol.dispose]();
    soon = null;
    const nowMs = watch();
    const now = status();
    for (const share of now.shares) {
      const { name, mount_state: state, active_interface: route } = share;
      if (isObserved(name)) shares.record(name, { state, route, impact: shareImpact(share) }, nowMs);
      else soon ??= clock.setTimer(RECHECK_MS, check);
    }
    shares.keepOnly(new Set(now.shares.map(({ name }) => name)), nowMs);
    for (const backend of now.backends ?? []) {
      const { name, phase } = backend;
      backends.record(name, { phase, impact: backendImpact(backend) }, nowMs);
    }
    backends.keepOnly(new Set((now.backends ?? []).map(({ name }) => name)), nowMs);
    forget(nowMs - DAY_MS, nowMs);
    for (const changes of [shares, backends]) changes.bound();
    since = Math.min(since, nowMs);
    gaps = gapsUntil(gaps, nowMs);
  };
  const known = (): KnownTimeline => {
    check();
    return { since, until: watchedMs, gaps, shares: shares.list, backends: backends.list };
  };
  const unsubscribe = bus.subscribe((transition) => {
    const { name } = transition;
    if (name === "backend.phase") {
      const observed = { phase: transition.to, impact: phaseImpact(transition.to) };
      // A phase is recorded at once, because it may be over before the next check.
      if (backendStateShape.faultIn(observed) === null)
        backends.record(transition.backend, observed as TypeOf<typeof backendStateShape>, watch());
    }
    if (/^(?:share|backend|config)\./.test(name)) soon ??= clock.setTimer(CHECK_AFTER_MS, check);
  });
  const beat = (): void => {
    timer = clock.setTimer(CHECK_EVERY_MS, beat);
    check();
  };
  let timer = clock.setTimer(CHECK_EVERY_MS, beat);
  forget(startMs - DAY_MS, startMs);
  const goesOn = follows && startMs - watchedMs <= HANDED_OVER_MS;
  if (goesOn) watchedMs = startMs;
  else if (past !== null) addGap(startMs);
  check();

  return {
    /** Grows with each recorded change of a share or backend. */
    get changes(): number {
      return shares.count + backends.count;
    },
    /** The timeline for the next daemon, after a fresh check. */
    known,
    timeline: async (): Promise<TimelineReport> => reportOf(known()),
    [Symbol.dispose]() {
      unsubscribe();
      timer[Symbol.dispose]();
      soon?.[Symbol.dispose]();
      soon = null;
    },
  };
}

/** The recorded changes of state, either of all shares or of all backends. */
class Changes<State> {
  list: Change<State>[];
  /** Number of changes noted by this daemon. */
  count = 0;
  #now = new Map<string, State>();

  constructor(list: readonly Change<State>[]) {
    this.list = [...list];
    this.#replay();
  }

  /** Records a subject's state if it changed; null: the subject was removed. */
  record(name: string, state: State | null, at: number): void {
    if (isDeepStrictEqual(this.#now.get(name) ?? null, state)) return;
    this.list.push({ at, name, state });
    this.count += 1;
    if (state === null) this.#now.delete(name);
    else this.#now.set(name, state);
  }

  /** Records that subjects which are not among `names` were removed. */
  keepOnly(names: ReadonlySet<string>, at: number): void {
    for (const name of [...this.#now.keys()]) if (!names.has(name)) this.record(name, null, at);
  }

  /** Drops changes before `from`, but keeps the states at `from`; drops changes after `until`. */
  forget(from: number, until: number): void {
    const first = this.list[0];
    const last = this.list.at(-1);
    if (first === undefined || last === undefined || (first.at >= from && last.at <= until)) return;
    const then = new Map<string, Change<State>>();
    for (const change of this.list) {
      if (change.at > from) break;
      then.delete(change.name);
      if (change.state !== null) then.set(change.name, { ...change, at: from });
    }
    this.list = [...then.values(), ...this.list.filter(({ at }) => at > from && at <= until)];
    this.#replay();
  }

  /**
   * Limits the number of changes. Each subject keeps its newest changes, up to an equal part of the limit; what a
   * subject does not need is divided among the others.
   */
  bound(): void {
    if (this.list.length <= MOST_CHANGES) return;
    const calmFirst = [...Map.groupBy(this.list, ({ name }) => name).values()].sort(
      (one, other) => one.length - other.length,
    );
    const retained = new Set<Change<State>>();
    for (const [index, own] of calmFirst.entries()) {
      const allowance = (MOST_CHANGES / 2 - retained.size) / (calmFirst.length - index);
      // Each subject keeps at least its current state. A removal is dropped if it would be the oldest change that is
      // kept.
      const newest = own.slice(-Math.max(1, Math.floor(allowance)));
      for (const change of newest) if (change !== newest[0] || change.state !== null) retained.add(change);
    }
    this.list = this.list.filter((change) => retained.has(change));
  }

  #replay(): void {
    this.#now.clear();
    for (const { name, state } of this.list) {
      if (state === null) this.#now.delete(name);
      else this.#now.set(name, state);
    }
  }
}

/** The gaps within the day before `nowMs`. */
function gapsUntil(gaps: readonly Gap[], nowMs: number): Gap[] {
  return gaps.flatMap(({ from, to }) => {
    const gap = { from: Math.max(from, nowMs - DAY_MS), to: Math.min(to, nowMs) };
    return gap.from < gap.to ? [gap] : [];
  });
}

function reportOf(known: KnownTimeline): TimelineReport {
  const { since, until, gaps, shares, backends } = known;
  return {
    from: isoTime(until - DAY_MS),
    to: isoTime(until),
    known_since: isoTime(since),
    gaps: gaps.map(({ from, to }) => ({ from: isoTime(from), to: isoTime(to) })),
    shares: spansOf(shares, until),
    backends: spansOf(backends, until),
  };
}

/** Time spans by subject; the current state's span ends at `until`. */
function spansOf<State extends object>(changes: readonly Change<State>[], until: number) {
  const byName = Map.groupBy(changes, ({ name }) => name);
  return [...byName].map(([name, own]) => ({
    name,
    spans: own.flatMap(({ at, state }, index) =>
      state === null ? [] : [{ from: isoTime(at), to: isoTime(own[index + 1]?.at ?? until), ...state }],
    ),
  }));
}
