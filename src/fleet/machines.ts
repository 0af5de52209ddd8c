// The machines of a fleet that this machine knows, and whether they are present. Presence is measured by this
// machine's own monotonic clock; times in the summaries of others are ignored.
import type { FleetMachine } from "../api/contract/fleet.ts";
import { isMachineName } from "../config/values/fleet-values.ts";
import { readSummary, type Summary } from "./summary.ts";

/** Interval of the beats, the signs of life that each machine sends, ms. */
export const BEAT_MS = 10_000;
/** A machine counts as silent after this time without a beat, ms. It is three times the interval of the beats. */
const SILENT_AFTER_MS = 30_000;
/** A machine answers a roll call, which begins a subscription, within this time, ms. */
export const ANSWERS_WITHIN_MS = 2_000;
/**
 * A machine that has not been heard for this long, ms, is dropped from the list. The bucket drops the machine's
 * summary after the same time.
 */
export const FORGOTTEN_AFTER_MS = 7 * 24 * 60 * 60_000;

const MOST_MACHINES = 1_000;
/** Limit for all summaries together, so that members of the account cannot fill this process's memory. */
const MOST_BYTES = 16 * 1024 * 1024;
/**
 * Maximum number of remembered instances of one machine. They distinguish a restart from two machines with
 * one name.
 */
const MOST_INSTANCES = 4;
/** Longest name shown for a key that is not a machine's name. */
const MOST_KEY = 64;

interface Known {
  /** When a message of the machine was last received; null: only its entry in the bucket is known. */
  heardAtMs: number | null;
  readonly readAtMs: number;
  summary: Summary | null;
  problem: string | null;
  bytes: number;
  /** Ids of the machine's processes, newest last. */
  instances: string[];
  doubledAtMs: number | null;
}

interface OwnMachine {
  readonly name: string;
  readonly instance: string;
}

export class Machines {
  readonly #own: OwnMachine;
  readonly #known = new Map<string, Known>();
  /** Keys that were refused because a limit was reached. */
  readonly #refused = new Set<string>();
  /** Keys that have been read since the subscription began; null once the whole bucket has been read. */
  #fresh: Set<string> | null = null;
  #doubledAtMs: number | null = null;

  constructor(own: OwnMachine) {
    this.#own = own;
  }

  /**
   * Reads an entry of the NATS bucket. `isNew`: the entry was written after the subscription began. Returns true if
   * the entry's machine has just started: the caller then sends a beat, so that the other machine learns of this one.
   */
  read(key: string, bytes: Uint8Array, isNew: boolean, nowMs: number): boolean {
    this.#fresh?.add(key);
    const reading = readSummary(key, bytes);
    const summary = reading.ok ? reading.summary : null;
    if (key === this.#own.name) {
      if (isNew && summary?.word === "here") this.#recordOwnName(summary.instance, nowMs);
      return false;
    }
    const known = this.#entry(key, bytes.length, nowMs);
    if (known === null) return false;
    if (!isMachineName(key)) known.problem = "its key is not a machine's name";
    else known.problem = reading.ok ? null : reading.problem;
    known.summary = known.problem === null ? summary : null;
    if (!isNew) return false;
    known.heardAtMs = nowMs;
    return (
      known.summary !== null &&
      recordInstance(known, known.summary.instance, nowMs) &&
      summary?.word === "here"
    );
  }

  /**
   * Records a beat; ignores the beat of a machine without an entry. Returns true if the machine has just started;
   * `read` returns the same, because a beat may arrive before the summary.
   */
  recordBeat(name: string, instance: string, nowMs: number): boolean {
    if (name === this.#own.name) {
      this.#recordOwnName(instance, nowMs);
      return false;
    }
    const known = this.#known.get(name);
    if (known === undefined) return false;
    known.heardAtMs = nowMs;
    return recordInstance(known, instance, nowMs);
  }

  /** Removes the machine with this key, for example after the machine has left the fleet. */
  forget(key: string): void {
    this.#known.delete(key);
    this.#refused.delete(key);
  }

  /** Call it when a subscription begins; a subscription first reads the whole bucket. */
  startReading(nowMs: number): void {
    this.#refused.clear();
    this.#fresh = new Set();
    for (const [key, known] of this.#known) if (isForgotten(known, nowMs)) this.forget(key);
  }

  /**
   * Call it when all entries of the bucket have been read. Forgets each known machine that has no entry there,
   * because that machine has left the fleet.
   */
  caughtUp(): void {
    for (const key of this.#known.keys()) if (this.#fresh?.has(key) === false) this.forget(key);
    this.#fresh = null;
  }

  /** Removes all machines. Call it when the subscription has ended. */
  clear(): void {
    this.#known.clear();
    this.#refused.clear();
    this.#fresh = null;
  }

  /**
   * True while the bucket is being read. Also true if a machine's summary says that it is up, but no message of that
   * machine has arrived yet.
   */
  get isAwaiting(): boolean {
    if (this.#fresh !== null) return true;
    return this.#known
      .values()
      .some(({ heardAtMs, summary }) => heardAtMs === null && summary?.word === "here");
  }

  /** True if another machine with this machine's name has recently sent a message. */
  isNameTaken(nowMs: number): boolean {
    return isRecent(this.#doubledAtMs, nowMs);
  }

  get size(): number {
    return this.#known.size;
  }

  /** Number of machines beyond the limits. */
  get more(): number {
    return this.#refused.size;
  }

  /** The other machines, by name. `subscribedSinceMs`: the start of the subscription; null: there is none. */
  others(subscribedSinceMs: number | null, nowMs: number): FleetMachine[] {
    return [...this.#known]
      .filter(([, known]) => !isForgotten(known, nowMs))
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, known]) => ({
        // Names come from other machines, and can be any text.
        name: isMachineName(name) ? name : JSON.stringify(name).slice(0, MOST_KEY),
        own: false,
        presence: presenceOf(known, subscribedSinceMs, nowMs),
        heard_secs_ago: known.heardAtMs === null ? null : Math.floor((nowMs - known.heardAtMs) / 1000),
        problem: problemOf(known, nowMs),
        state: known.summary?.state ?? null,
      }));
  }

  #recordOwnName(instance: string, nowMs: number): void {
    if (instance !== this.#own.instance) this.#doubledAtMs = nowMs;
  }

  /** null: the limits are reached, and the key is counted in `more`. */
  #entry(key: string, bytes: number, nowMs: number): Known | null {
    const before = this.#known.get(key);
    const others = [...this.#known.values()].filter((known) => known !== before);
    const inAll = others.reduce((sum, known) => sum + known.bytes, bytes);
    if (inAll > MOST_BYTES || (before === undefined && this.#known.size >= MOST_MACHINES)) {
      if (this.#refused.size < MOST_MACHINES) this.#refused.add(key);
      return null;
    }
    this.#refused.delete(key);
    const known = before ?? {
      heardAtMs: null,
      readAtMs: nowMs,
      summary: null,
      problem: null,
      bytes,
      instances: [],
      doubledAtMs: null,
    };
    known.bytes = bytes;
    this.#known.set(key, known);
    return known;
  }
}

function isRecent(atMs: number | null, nowMs: number): boolean {
  return atMs !== null && nowMs - atMs <= SILENT_AFTER_MS;
}

function isForgotten({ heardAtMs, readAtMs }: Known, nowMs: number): boolean {
  return nowMs - (heardAtMs ?? readAtMs) > FORGOTTEN_AFTER_MS;
}

/**
 * Records an instance, the id of a machine's process. Returns true for a new one: the machine has restarted.
 * If a replaced instance is heard again, two machines have that name.
 */
function recordInstance(known: Known, instance: string, nowMs: number): boolean {
  if (instance === known.instances.at(-1)) return false;
  const others = known.instances.filter((other) => other !== instance);
  const isNew = others.length === known.instances.length;
  if (!isNew) known.doubledAtMs = nowMs;
  known.instances = [...others, instance].slice(-MOST_INSTANCES);
  return isNew;
}

function presenceOf(known: Known, subscribedSinceMs: number | null, nowMs: number): FleetMachine["presence"] {
  const { summary, heardAtMs, problem } = known;
  if (problem !== null) return "unreadable";
  if (summary?.word === "gone") return "gone";
  if (isRecent(heardAtMs, nowMs)) return "here";
  // Without a subscription no machine is heard.
  if (subscribedSinceMs === null) return "unheard";
  return nowMs - subscribedSinceMs < ANSWERS_WITHIN_MS ? "unheard" : "silent";
}

function problemOf({ problem, doubledAtMs }: Known, nowMs: number): string | null {
  if (problem !== null) return problem;
  return isRecent(doubledAtMs, nowMs) ? "two machines use this name" : null;
}
