// The numbers of one share or server: sums in slots of three widths, and what is not in the file yet.
import { CALLS, ERRORS } from "../../gateway/telemetry/latency-buckets.ts";
import type { MountReport } from "../../shares/drivers/moving-mounts.ts";
import { addTo, isEqual, type Run, Slots, type Sums } from "./slots.ts";

/** The shortest slot, ms. All times here are counted in ticks since 1970. */
export const TICK_MS = 10_000;
/** By span: the width of a slot in ticks, and how many slots are retained. */
export const LEVELS = {
  hour: { width: 1, slots: 360 },
  day: { width: 30, slots: 288 },
  month: { width: 360, slots: 840 },
} as const;
export type LevelName = keyof typeof LEVELS;
export const LEVEL_NAMES = ["hour", "day", "month"] as const satisfies readonly LevelName[];

/**
 * The keys of sums; smaller ones count calls by duration. `tb` to `unused` and `measured` count ticks: the route in use, the
 * worst that programs noticed, the worst first, and known traffic. Traffic is counted in KiB.
 */
export const KEYS = {
  ...{ calls: CALLS, errors: ERRORS, tb: 66, fallback: 67, none: 68 },
  ...{ failed: 69, waited: 70, fine: 71, unused: 72, measured: 73, read: 74, written: 75 },
  ...{ moved_to_tb: 76, moved_to_fallback: 77, waits: 78, starts: 79, failures: 80 },
} as const;
export const IMPACTS = ["failed", "waited", "fine", "unused"] as const;
/** The limit of what is not saved yet, in bytes: a disk may never answer. Some minutes of the busiest server take less. */
export const MOST_UNSAVED_BYTES = 8_192;
/** The traffic of a mount. */
export type Traffic = Pick<MountReport, "bytesUp" | "bytesDown" | "pauses">;

export class Subject {
  readonly of: "share" | "server";
  readonly name: string;
  readonly levels: Readonly<Record<LevelName, Slots>>;
  /** The first tick after all known ones; 0: none is known. */
  until = 0;
  /** The first tick after the last call; null: none is known. */
  usedAt: number | null = null;
  /** Calls since it has numbers. */
  calls = 0;
  /** When it failed last, in ticks. */
  failedAt = Number.NEGATIVE_INFINITY;
  /** Of a share: at the last tick. */
  traffic: Traffic | null = null;
  /** Counts since the last tick. */
  readonly fresh: Sums = new Map();
  /** What each tick adds while nothing changes. Empty: unknown. */
  #state: Sums = new Map();
  /** The first tick that is not added yet. */
  #from: number;
  /** False: a part of what is not saved was dropped, so an append would leave a hole. */
  isUnsavedWhole = true;
  #unsaved = new Slots();

  /** Its time before the tick `now` is unknown, but for the packed levels. Throws a RangeError if a packed level is damaged. */
  constructor(of: Subject["of"], name: string, now: number, packed: readonly Uint8Array[] = []) {
    this.of = of;
    this.name = name;
    this.#from = now;
    const [hour, day, month] = packed;
    this.levels = { hour: new Slots(hour), day: new Slots(day), month: new Slots(month) };
    for (const run of this.levels.hour.runs()) this.until = run.at + run.count;
  }

  count(key: keyof typeof KEYS, times: number): void {
    if (times > 0) this.fresh.set(KEYS[key], (this.fresh.get(KEYS[key]) ?? 0) + times);
  }

  /** Takes another state from the tick `now` on. Returns whether it differs. */
  become(state: Sums, now: number): boolean {
    if (isEqual(state, this.#state)) return false;
    this.catchUp(now);
    this.#state = state;
    return true;
  }

  /** Adds the ticks before `now` in which nothing was counted. This waits until the numbers are read, because most do not change. */
  catchUp(now: number): void {
    const count = now - this.#from;
    if (count > 0 && this.#state.size > 0) this.#add({ at: this.#from, count, sums: this.#state });
    this.#from = Math.max(this.#from, now);
  }

  /** The time until the tick `now` is unknown. */
  skipTo(now: number): void {
    this.#from = now;
  }

  /** Adds what was counted, and the ticks before `now`; it belongs to the last of them. */
  endTicks(now: number): void {
    if (this.fresh.size === 0) return;
    this.catchUp(now - 1);
    if (this.fresh.has(CALLS)) this.usedAt = now;
    this.calls += this.fresh.get(CALLS) ?? 0;
    if (this.fresh.has(KEYS.failed)) this.failedAt = now;
    const sums = new Map(this.#state);
    addTo(sums, this.fresh, 1);
    // One tick has one impact: the worst.
    const [worst, ...others] = IMPACTS.filter((name) => sums.has(KEYS[name]));
    for (const name of others) sums.delete(KEYS[name]);
    if (worst !== undefined) sums.set(KEYS[worst], 1);
    this.fresh.clear();
    this.#add({ at: now - 1, count: 1, sums });
    this.#from = now;
  }

  /** Adds ticks, also to what is not saved yet. */
  #add(run: Run): void {
    this.replay(run);
    this.#unsaved.push(run);
    if (this.#unsaved.bytes <= MOST_UNSAVED_BYTES) return;
    this.#unsaved = new Slots();
    this.isUnsavedWhole = false;
  }

  /** Adds ticks that are in the file. */
  replay({ at: from, count, sums }: Run): void {
    const until = from + count;
    this.until = Math.max(this.until, until);
    for (const name of LEVEL_NAMES) {
      const { width, slots } = LEVELS[name];
      const level = this.levels[name];
      for (let at = from; at < until; ) {
        const slot = Math.floor(at / width);
        const whole = at % width === 0 ? Math.floor((until - at) / width) : 0;
        const end = whole > 0 ? at + whole * width : Math.min(until, (slot + 1) * width);
        const scaled: Sums = new Map();
        addTo(scaled, sums, whole > 0 ? width : end - at);
        level.push({ at: slot, count: Math.max(1, whole), sums: scaled });
        at = end;
      }
      const oldest = Math.ceil(until / width) - slots;
      // Dropping costs time, so it waits until an eighth is too old.
      if (level.first < oldest - slots / 8) level.clip(oldest, Number.POSITIVE_INFINITY);
    }
  }

  /** Drops all that is later than the tick `now`: the clock was set back. */
  dropAfter(now: number): void {
    if (this.until <= now + 1) return;
    for (const name of LEVEL_NAMES) {
      this.levels[name].clip(Number.NEGATIVE_INFINITY, Math.floor(now / LEVELS[name].width) + 1);
    }
    this.#unsaved.clip(Number.NEGATIVE_INFINITY, now + 1);
    this.until = Math.min(this.until, now + 1);
    if (this.usedAt !== null) this.usedAt = Math.min(this.usedAt, now);
  }

  /** The packed ticks since the last time; null: none. */
  takeUnsaved(): Uint8Array | null {
    const packed = this.#unsaved.packed();
    this.#unsaved = new Slots();
    this.isUnsavedWhole = true;
    return packed.length === 0 ? null : packed;
  }
}
