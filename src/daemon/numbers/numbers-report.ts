// The answers about numbers: a day and an hour of each share and server, and one of them over a span.
import type { NumbersReport, Series } from "../../api/contract/numbers.ts";
import type { InputOf } from "../../api/operations/operations.ts";
import { BUCKETS, middleOf } from "../../gateway/telemetry/latency-buckets.ts";
import { isoTime } from "../../runtime/time/clock.ts";
import { addTo, type Sums } from "./slots.ts";
import { IMPACTS, KEYS, LEVELS, type LevelName, type Subject, TICK_MS } from "./subject.ts";

const ROUTES = ["tb", "fallback", "none"] as const;
const MARKS: readonly (readonly [keyof typeof KEYS, Series["marks"][number]["kind"]])[] = [
  ["moved_to_tb", "moved_to_tb"],
  ["moved_to_fallback", "moved_to_fallback"],
  ["waits", "waited"],
  ["starts", "started"],
  ["failures", "failed"],
];
const SPANS = {
  hour: { level: "hour", slots: 360 },
  day: { level: "day", slots: 288 },
  week: { level: "month", slots: 168 },
  month: { level: "month", slots: 840 },
} as const satisfies Record<string, { readonly level: LevelName; readonly slots: number }>;
/** Slots of five minutes in an hour. */
const HOUR = 12;

interface Known {
  readonly shares: ReadonlyMap<string, Subject>;
  readonly servers: ReadonlyMap<string, Subject>;
  readonly configured: { readonly shares: ReadonlySet<string>; readonly servers: ReadonlySet<string> };
  readonly catchUp: () => number;
}

export function numbersReport(known: Known, nowMs: number): NumbersReport {
  const { shares, servers, configured, catchUp } = known;
  const now = catchUp();
  const withDay = (subjects: ReadonlyMap<string, Subject>, names: ReadonlySet<string>) =>
    [...names].flatMap((name) => {
      const subject = subjects.get(name);
      if (subject === undefined) return [];
      const { all, from } = slotsOf(subject, "day", LEVELS.day.slots, now);
      const recent = all.slice(-HOUR);
      const hour: Sums = new Map();
      for (const sums of recent) if (sums !== null) addTo(hour, sums, 1);
      return [{ subject, day: daysOf(all, from, nowMs), hour, recent }];
    });
  const measured = withDay(servers, configured.servers);
  return {
    to: isoTime(nowMs),
    servers_omitted: configured.servers.size - measured.length,
    shares: withDay(shares, configured.shares).map(({ subject: { name }, day, hour }) => ({
      name,
      day,
      moves_hour: sum(hour, "moved_to_tb") + sum(hour, "moved_to_fallback"),
      waits_hour: sum(hour, "waits"),
      read_mb_s: rateOf(hour, "read") ?? 0,
      written_mb_s: rateOf(hour, "written") ?? 0,
    })),
    servers: measured.map(({ subject: { name, usedAt }, day, hour, recent }) => ({
      name,
      day,
      calls_hour: sum(hour, "calls"),
      errors_hour: sum(hour, "errors"),
      p99_ms: quantile(hour, 0.99),
      spark: recent.map((sums) => (sums === null ? 0 : sum(sums, "calls"))),
      last_used: usedAt === null ? null : isoTime(usedAt * TICK_MS),
    })),
  };
}

export function seriesReport(known: Known, { of, name, span }: InputOf<"series">): Series {
  const { level, slots } = SPANS[span];
  const subject = (of === "share" ? known.shares : known.servers).get(name) ?? null;
  const { all, from } = slotsOf(subject, level, slots, known.catchUp());
  const stepMs = LEVELS[level].width * TICK_MS;
  const timeOf = (slot: number): string => isoTime(slot * stepMs);
  const items = <T>(owner: Subject["of"], itemOf: (sums: Sums) => T | null): (T | null)[] =>
    owner === of ? all.map((sums) => (sums === null ? null : itemOf(sums))) : [];
  return {
    from: timeOf(from),
    to: timeOf(from + slots),
    step_s: stepMs / 1_000,
    impact: items(of, impactOf),
    route: items("share", routeOf),
    read_mb_s: items("share", (sums) => rateOf(sums, "read")),
    written_mb_s: items("share", (sums) => rateOf(sums, "written")),
    calls: items("server", (sums) => sum(sums, "calls")),
    errors: items("server", (sums) => sum(sums, "errors")),
    p50_ms: items("server", (sums) => quantile(sums, 0.5)),
    p99_ms: items("server", (sums) => quantile(sums, 0.99)),
    marks: all.flatMap((sums, index) =>
      MARKS.flatMap(([key, kind]) => {
        const count = sums === null ? 0 : sum(sums, key);
        return count === 0 ? [] : [{ at: timeOf(from + index), kind, count }];
      }),
    ),
  };
}

/** The newest `count` slots, the oldest first; the last one may be incomplete. null: unknown. */
function slotsOf(subject: Subject | null, level: LevelName, count: number, now: number) {
  const from = Math.ceil(now / LEVELS[level].width) - count;
  const all: (Sums | null)[] = Array.from({ length: count }, () => null);
  for (const run of subject?.levels[level].runs() ?? []) {
    const end = Math.min(run.at + run.count, from + count);
    for (let slot = Math.max(run.at, from); slot < end; slot++) all[slot - from] = run.sums;
  }
  return { all, from };
}

function daysOf(
  all: readonly (Sums | null)[],
  from: number,
  nowMs: number,
): NumbersReport["shares"][number]["day"] {
  const stepMs = LEVELS.day.width * TICK_MS;
  const day: NumbersReport["shares"][number]["day"] = [];
  for (const [index, sums] of all.entries()) {
    // The slots of one run share an object.
    if (index > 0 && sums === all[index - 1]) continue;
    const impact = (sums === null ? null : impactOf(sums)) ?? "unknown";
    const last = day.at(-1);
    if (last?.impact === impact) continue;
    const at = isoTime((from + index) * stepMs);
    if (last !== undefined) last.to = at;
    day.push({ from: at, to: isoTime(nowMs), impact });
  }
  return day;
}

function sum(sums: Sums, key: keyof typeof KEYS): number {
  return sums.get(KEYS[key]) ?? 0;
}

function impactOf(sums: Sums): (typeof IMPACTS)[number] | null {
  return IMPACTS.find((name) => sums.has(KEYS[name])) ?? null;
}

function routeOf(sums: Sums): (typeof ROUTES)[number] | null {
  const longest = Math.max(...ROUTES.map((route) => sum(sums, route)));
  return longest === 0 ? null : (ROUTES.find((route) => sum(sums, route) === longest) ?? null);
}

/** MB/s; null: not known. */
function rateOf(sums: Sums, key: "read" | "written"): number | null {
  const seconds = (sum(sums, "measured") * TICK_MS) / 1_000;
  return seconds === 0 ? null : threeDigits((sum(sums, key) * 1_024) / 1e6 / seconds);
}

/** ms; null: no call was answered. */
function quantile(sums: Sums, part: number): number | null {
  let all = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket++) all += sums.get(bucket) ?? 0;
  let rank = Math.ceil(all * part);
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    rank -= sums.get(bucket) ?? 0;
    if (all > 0 && rank <= 0) return threeDigits(middleOf(bucket));
  }
  return null;
}

function threeDigits(value: number): number {
  return Number(value.toPrecision(3));
}
