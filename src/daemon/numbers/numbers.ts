// Counts what happens to shares and servers over time: every ten seconds, from the state, the events, the traffic of mounts and
// the tallies of calls. A slot without a reading is unknown.
import type { StatusReport } from "../../api/contract/contract.ts";
import { backendImpact, type Impact, shareImpact } from "../../api/labels/impact.ts";
import type { Bus } from "../../runtime/bus.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { ServiceTransition } from "../events/service-transitions.ts";
import type { Sums } from "./slots.ts";
import { KEYS, LEVELS, Subject, TICK_MS, type Traffic } from "./subject.ts";

/** Maximum number of servers that have numbers; also of shares. */
export const MOST_SUBJECTS = 250;
/** The limit of all packed slots, in bytes. */
export const MOST_BYTES = 1_400_000;
/** The state is read after an event, and after this many ticks without one. */
const STATE_EVERY = 6;
/** If wall time and monotonic time differ by more, ms, the machine slept or the clock was set. */
const JUMP_MS = 5_000;
/**
 * Counting at a time so far from the newest slot, in ticks, drops most of the past: later than all that is retained, or an hour
 * before. The clock may be wrong, so counting first waits this long, ms, for it to be set right.
 */
const FAR = { later: LEVELS.month.width * LEVELS.month.slots, earlier: LEVELS.month.width };
const CLOCK_WAIT_MS = 600_000;
/** The time before a tick that is later than this, ms, is unknown. */
const UNWATCHED_MS = 60_000;
const DAY_TICKS = (24 * 3_600_000) / TICK_MS;
/** Connections of an unused share also send a little, in KiB: less than this is counted later, or does not cause a write. */
const LITTLE_KIB = { recorded: 64, written: 1_024 };

export interface NumbersOptions {
  readonly clock: Clock;
  readonly bus: Pick<Bus<ServiceTransition>, "subscribe">;
  readonly status: () => Pick<StatusReport, "shares" | "backends">;
  /** True once a share was observed since the start; until then, its status is the stored one. */
  readonly isObserved: (share: string) => boolean;
  /** The report of the program that serves the share's mount; null: none is known. */
  readonly moving: (share: string) => Traffic | null;
  /** Passes on the calls since the last time. */
  readonly takeCalls: (visit: (server: string, tally: Uint32Array) => void) => void;
}

interface Listed {
  readonly name: string;
  /** null: as before. */
  readonly state: Sums | null;
  readonly impact: Impact;
  /** Calls since the start. */
  readonly calls: number;
}

/**
 * Starts counting. `before`: the subjects of the previous daemon. `follows`: it has just handed over, so the time since its
 * last tick is known.
 */
export function startNumbers(options: NumbersOptions, before: readonly Subject[], follows: boolean) {
  const { clock, bus, status, isObserved, moving, takeCalls } = options;
  const byName = (of: Subject["of"]) =>
    new Map(before.flatMap((one) => (one.of === of ? [[one.name, one] as const] : [])));
  const shares = byName("share");
  const servers = byName("server");
  let configured = { shares: new Set<string>(), servers: new Set<string>() };
  /** The servers that waited at the last reading. */
  let waiting = new Set<string>();
  let hasNews = false;
  let wasSetBack = false;
  let trafficKib = 0;
  let isStale = true;
  let ticks = 0;
  let wallMs = clock.wallMs();
  let monotonicMs = clock.monotonicMs();
  let done = Math.floor(wallMs / TICK_MS);
  /** Until when a far time is not trusted, monotonic; null: the last time was not far. */
  let farUntilMs: number | null = null;
  const all = (): readonly Subject[] => [...shares.values(), ...servers.values()];
  const mustWait = (now: number, last: number): boolean => {
    const isFar = now < last - FAR.earlier || now > last + FAR.later;
    farUntilMs = isFar ? (farUntilMs ?? clock.monotonicMs() + CLOCK_WAIT_MS) : null;
    return farUntilMs !== null && clock.monotonicMs() < farUntilMs;
  };
  const until = Math.max(...before.map((subject) => subject.until));
  if (until > 0 && mustWait(done, until)) done = until;
  for (const subject of before) subject.dropAfter(done);
  if (follows && done - until <= UNWATCHED_MS / TICK_MS) done = Math.min(done, until);
  for (const subject of before) subject.skipTo(done);

  const readState = (): void => {
    isStale = false;
    const now = status();
    const listedShares = now.shares.map((share): Listed => {
      const { name, active_interface: route } = share;
      const impact = shareImpact(share);
      const state: [number, number][] = isObserved(name)
        ? [
            [KEYS[route], 1],
            [KEYS[impact], 1],
          ]
        : [];
      return { name, state: new Map(state), impact, calls: 0 };
    });
    const listedServers = (now.backends ?? []).map((server): Listed => {
      const { name, calls } = server;
      const impact = backendImpact(server);
      // A start takes a moment: programs wait if it lasts from one reading to the next.
      const hasBegun = impact === "waited" && !waiting.has(name);
      return { name, state: hasBegun ? null : new Map([[KEYS[impact], 1]]), impact, calls };
    });
    waiting = namesOf(listedServers.filter(({ impact }) => impact === "waited"));
    if (admit(shares, "share", listedShares, done)) hasNews = true;
    if (admit(servers, "server", listedServers, done)) hasNews = true;
    // These started with the daemon, or between two readings.
    for (const { name, phase } of now.backends ?? [])
      if (phase === "Ready" && !configured.servers.has(name)) servers.get(name)?.count("starts", 1);
    configured = { shares: namesOf(listedShares), servers: namesOf(listedServers) };
    bound(all());
    isStale ||= [...listedShares, ...listedServers].some(({ state }) => state === null || state.size === 0);
  };
  const countTraffic = (subject: Subject, hasEnded: boolean): void => {
    const now = moving(subject.name);
    const last = subject.traffic;
    subject.traffic = now;
    if (now === null) return;
    if (hasEnded) subject.count("measured", 1);
    if (last === null) return;
    const written = passed(last.bytesUp, now.bytesUp);
    const read = passed(last.bytesDown, now.bytesDown);
    if (written + read < LITTLE_KIB.recorded) {
      subject.traffic = { ...last, pauses: now.pauses };
    } else {
      subject.count("written", written);
      subject.count("read", read);
      trafficKib += written + read;
    }
    const waits = now.pauses - last.pauses;
    subject.count("waits", waits);
    if (waits > 0) subject.count("waited", 1);
  };
  /** Ends the ticks until now. `isLast`: also what was counted in the present one. */
  const endTicks = (isLast: boolean): void => {
    const [wall, monotonic] = [clock.wallMs(), clock.monotonicMs()];
    const now = Math.floor(wall / TICK_MS);
    if (mustWait(now, done)) return;
    const watched = monotonic - monotonicMs;
    const isGap = watched > UNWATCHED_MS || Math.abs(wall - wallMs - watched) > JUMP_MS;
    [wallMs, monotonicMs] = [wall, monotonic];
    if (isGap || now < done) {
      for (const subject of all()) {
        subject.catchUp(done);
        subject.dropAfter(now);
        subject.skipTo(now);
      }
      wasSetBack ||= now < done;
      done = now;
    }
    takeCalls((name, tally) => {
      const server = servers.get(name);
      for (const [key, calls] of server === undefined ? [] : tally.entries()) {
        if (calls > 0) server?.fresh.set(key, (server.fresh.get(key) ?? 0) + calls);
      }
    });
    // Before any share is asked: one that was removed has no program.
    if (isStale || ticks % STATE_EVERY === 0) readState();
    for (const [name, subject] of shares) if (configured.shares.has(name)) countTraffic(subject, done < now);
    ticks += 1;
    for (const subject of all()) {
      hasNews ||= isNews(subject.fresh);
      if (done < now) subject.endTicks(now);
      else if (isLast) subject.endTicks(now + 1);
    }
    hasNews ||= trafficKib > LITTLE_KIB.written;
    done = now;
  };
  const unsubscribe = bus.subscribe((transition) => {
    const { name } = transition;
    if (/^(?:share|backend|config)\./.test(name)) isStale = true;
    if (name === "share.failover" || name === "share.recovered" || name === "share.switched") {
      if (transition.to === "tb" || transition.to === "fallback")
        shares.get(transition.share)?.count(`moved_to_${transition.to}`, 1);
    } else if (name === "share.error" || name === "share.vanished") {
      shares.get(transition.share)?.count("failed", 1);
    } else if (name === "backend.ready" && configured.servers.has(transition.backend)) {
      servers.get(transition.backend)?.count("starts", 1);
    } else if (name === "backend.ended") {
      servers.get(transition.backend)?.count("failures", 1);
    } else if (name === "backend.phase" && transition.to === "Failed") {
      servers.get(transition.backend)?.count("failed", 1);
    }
  });
  const beat = (): void => {
    endTicks(false);
    timer = clock.setTimer(TICK_MS - (clock.wallMs() % TICK_MS), beat);
  };
  readState();
  let timer = clock.setTimer(TICK_MS - (wallMs % TICK_MS), beat);

  return {
    shares,
    servers,
    get configured() {
      return configured;
    },
    /** Adds all ticks that have ended; returns the first one that has not. */
    catchUp(): number {
      for (const subject of all()) subject.catchUp(done);
      return done;
    },
    /** What is new since the last time: `set_back` if a part of the past was dropped; null: nothing. */
    takeNews(): "counted" | "set_back" | null {
      const news = wasSetBack ? "set_back" : hasNews ? "counted" : null;
      wasSetBack = false;
      hasNews = false;
      trafficKib = 0;
      return news;
    },
    [Symbol.dispose]() {
      timer[Symbol.dispose]();
      unsubscribe();
      endTicks(true);
      for (const subject of all()) subject.catchUp(done);
    },
  };
}

/** Drops the oldest slots of the largest levels until all take `MOST_BYTES` at most. */
function bound(subjects: readonly Subject[]): void {
  const levels = subjects.flatMap((subject) => Object.values(subject.levels));
  let most = Math.max(0, ...levels.map(({ bytes }) => bytes));
  while (levels.reduce((sum, { bytes }) => sum + Math.min(bytes, most), 0) > MOST_BYTES) most *= 0.9;
  for (const level of levels) level.bound(most);
}

function namesOf(listed: readonly Listed[]): Set<string> {
  return new Set(listed.map(({ name }) => name));
}

/** KiB that have passed; a remounted share counts from 0. */
function passed(before: number, now: number): number {
  return Math.floor(now / 1_024) - (now < before ? 0 : Math.floor(before / 1_024));
}

function isNews(fresh: Sums): boolean {
  for (const key of fresh.keys()) {
    if (key !== KEYS.measured && key !== KEYS.read && key !== KEYS.written) return true;
  }
  return false;
}

/**
 * Gives numbers to all that is listed while there is room, then to what has trouble, and to the busiest. A subject that is no
 * longer listed goes with its last slot. Returns whether a state has changed.
 */
function admit(
  subjects: Map<string, Subject>,
  of: Subject["of"],
  listed: readonly Listed[],
  now: number,
): boolean {
  const byName = new Map(listed.map((one) => [one.name, one]));
  for (const [name, { until }] of subjects) {
    if (!byName.has(name) && until > 0 && until < now - FAR.later) subjects.delete(name);
  }
  const missing = listed.filter(({ name }) => !subjects.has(name));
  if (subjects.size + missing.length > MOST_SUBJECTS) {
    const worth = ({ name, calls }: Pick<Listed, "name" | "calls">): readonly [number, number] => {
      const found = byName.get(name);
      if (found === undefined) return [0, calls];
      const isTroubled = found.impact === "failed" || now - (subjects.get(name)?.failedAt ?? 0) < DAY_TICKS;
      return [isTroubled ? 2 : 1, calls];
    };
    const ranked = [...subjects.values(), ...missing]
      .map((one) => ({ name: one.name, worth: worth(one) }))
      .sort(({ worth: a }, { worth: b }) => b[0] - a[0] || b[1] - a[1]);
    const chosen = new Set(ranked.slice(0, MOST_SUBJECTS).map(({ name }) => name));
    for (const name of [...subjects.keys()].filter((each) => !chosen.has(each))) subjects.delete(name);
    missing.splice(0, missing.length, ...missing.filter(({ name }) => chosen.has(name)));
  }
  for (const { name, calls } of missing) {
    const made = new Subject(of, name, now);
    made.calls = calls;
    subjects.set(name, made);
  }
  let hasChanged = false;
  for (const [name, subject] of subjects) {
    const found = byName.get(name);
    if (found?.state === null) continue;
    if (subject.become(found?.state ?? new Map(), now)) hasChanged = true;
  }
  return hasChanged;
}
