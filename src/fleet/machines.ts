// The machines of a fleet, as this one has heard of them. Who is there is judged by this machine's own monotonic clock
// alone: what others write in their summaries about times counts for nothing.
import type { FleetMachine } from "../api/fleet-contract.ts";
import { isMachineName } from "../config/values/fleet-values.ts";
import { readSummary, type Summary } from "./summary.ts";

/** How often a machine shows that it is there, ms. */
export const BEAT_MS = 10_000;
/** Three beats were not heard. */
const SILENT_AFTER_MS = 30_000;
/** Who is asked whether it is there says so within this time, ms. */
export const ANSWERS_WITHIN_MS = 2_000;
/** So long nothing was heard of it: it is forgotten here, as the bucket forgets it. */
export const FORGOTTEN_AFTER_MS = 7 * 24 * 60 * 60_000;

const MOST_MACHINES = 1_000;
/** Of all summaries together: an account that others share must not fill this process. */
const MOST_BYTES = 16 * 1024 * 1024;
/** Earlier starts of one machine that are remembered, to tell a restart from two of one name. */
const MOST_INSTANCES = 4;

interface Known {
  /** When it was heard itself; null: what the bucket had of it is all there is. */
  heardAtMs: number | null;
  /** Or, until then, when its summary was read. */
  readonly readAtMs: number;
  summary: Summary | null;
  problem: string | null;
  bytes: number;
  /** The newest last. */
  instances: string[];
  doubledAtMs: number | null;
}

interface MachinesOptions {
  /** This machine. */
  readonly name: string;
  readonly instance: string;
}

export class Machines {
  readonly #own: MachinesOptions;
  readonly #known = new Map<string, Known>();
  readonly #refused = new Set<string>();
  /** Keys that were read since this machine listens; null: all that are there. */
  #fresh: Set<string> | null = null;
  #bytes = 0;
  #doubledAtMs: number | null = null;

  constructor(own: MachinesOptions) {
    this.#own = own;
  }

  /**
   * What stands under a key of the bucket; `isNews`: it was written while this machine listened. True when a machine has
   * come by it, which cannot know yet who is there.
   */
  read(key: string, bytes: Uint8Array, isNews: boolean, nowMs: number): boolean {
    this.#fresh?.add(key);
    const reading = readSummary(key, bytes);
    const summary = reading.ok ? reading.summary : null;
    if (key === this.#own.name) {
      if (isNews && summary?.word === "here") this.#hearOwnName(summary.instance, nowMs);
      return false;
    }
    const known = this.#entry(key, bytes.length, nowMs);
    if (known === null) return false;
    if (!isMachineName(key)) known.problem = "its key is no machine's name";
    else known.problem = reading.ok ? null : reading.problem;
    known.summary = known.problem === null ? summary : null;
    if (!isNews) return false;
    known.heardAtMs = nowMs;
    if (known.summary === null) return false;
    const { instance, word } = known.summary;
    const isNew = !known.instances.includes(instance);
    noteInstance(known, instance, nowMs);
    return isNew && word === "here";
  }

  /**
   * A sign of life. One of a machine that has told nothing yet is nothing: its summary follows. True as with `read`: the
   * first one of a machine that has begun anew may overtake its summary.
   */
  hear(name: string, instance: string, nowMs: number): boolean {
    if (name === this.#own.name) {
      this.#hearOwnName(instance, nowMs);
      return false;
    }
    const known = this.#known.get(name);
    if (known === undefined) return false;
    known.heardAtMs = nowMs;
    const isNew = !known.instances.includes(instance);
    noteInstance(known, instance, nowMs);
    return isNew;
  }

  /** A key was removed: that machine left. */
  forget(key: string): void {
    const known = this.#known.get(key);
    this.#known.delete(key);
    this.#refused.delete(key);
    this.#bytes -= known?.bytes ?? 0;
  }

  /** All that stood in the bucket is read afresh. */
  begin(nowMs: number): void {
    this.#refused.clear();
    this.#fresh = new Set();
    for (const [key, { heardAtMs, readAtMs }] of this.#known) {
      if (nowMs - (heardAtMs ?? readAtMs) > FORGOTTEN_AFTER_MS) this.forget(key);
    }
  }

  /** Whose words were not among it has left meanwhile. */
  caughtUp(): void {
    for (const key of this.#known.keys()) if (this.#fresh?.has(key) === false) this.forget(key);
    this.#fresh = null;
  }

  /** This machine does not listen to the others any more: what it knew of them is dropped. */
  rest(): void {
    this.#known.clear();
    this.#refused.clear();
    this.#fresh = null;
    this.#bytes = 0;
  }

  /** Whether some that told that they are there have not been heard yet, or not all has been read. */
  get isAwaiting(): boolean {
    if (this.#fresh !== null) return true;
    return this.#known
      .values()
      .some(({ heardAtMs, summary }) => heardAtMs === null && summary?.word === "here");
  }

  /** Another machine uses this one's name, and was heard lately. */
  isNameTaken(nowMs: number): boolean {
    return isRecent(this.#doubledAtMs, nowMs);
  }

  get size(): number {
    return this.#known.size;
  }

  /** Machines that were too many. */
  get more(): number {
    return this.#refused.size;
  }

  /** The others, by name. `listensSinceMs`: since when this machine listens to them; null: it does not. */
  others(listensSinceMs: number | null, nowMs: number): FleetMachine[] {
    return [...this.#known]
      .filter(([, { heardAtMs, readAtMs }]) => nowMs - (heardAtMs ?? readAtMs) <= FORGOTTEN_AFTER_MS)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, known]) => ({
        // A key may be anything.
        name: isMachineName(name) ? name : JSON.stringify(name).slice(0, MOST_KEY),
        own: false,
        presence: presenceOf(known, listensSinceMs, nowMs),
        heard_secs_ago: known.heardAtMs === null ? null : Math.floor((nowMs - known.heardAtMs) / 1000),
        problem: problemOf(known, nowMs),
        state: known.summary?.state ?? null,
      }));
  }

  #hearOwnName(instance: string, nowMs: number): void {
    if (instance !== this.#own.instance) this.#doubledAtMs = nowMs;
  }

  /** Null, counted: there are too many. */
  #entry(key: string, bytes: number, nowMs: number): Known | null {
    const before = this.#known.get(key);
    const added = bytes - (before?.bytes ?? 0);
    if (this.#bytes + added > MOST_BYTES || (before === undefined && this.#known.size >= MOST_MACHINES)) {
      if (this.#refused.size < MOST_MACHINES) this.#refused.add(key);
      return null;
    }
    this.#refused.delete(key);
    this.#bytes += added;
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

const MOST_KEY = 64;

function isRecent(atMs: number | null, nowMs: number): boolean {
  return atMs !== null && nowMs - atMs <= SILENT_AFTER_MS;
}

/** One that was there before the newest, and is heard again, is a second machine; one never heard is a restart. */
function noteInstance(known: Known, instance: string, nowMs: number): void {
  const at = known.instances.indexOf(instance);
  if (at === known.instances.length - 1 && at !== -1) return;
  if (at !== -1) {
    known.doubledAtMs = nowMs;
    known.instances.splice(at, 1);
  }
  known.instances.push(instance);
  if (known.instances.length > MOST_INSTANCES) known.instances.shift();
}

function presenceOf(known: Known, listensSinceMs: number | null, nowMs: number): FleetMachine["presence"] {
  const { summary, heardAtMs, problem } = known;
  if (problem !== null) return "unreadable";
  if (summary?.word === "gone") return "gone";
  if (isRecent(heardAtMs, nowMs)) return "here";
  // Nobody is heard while this machine does not listen.
  if (listensSinceMs === null) return "unheard";
  // It was asked, and would have answered.
  if (summary?.answers === true && heardAtMs === null && nowMs - listensSinceMs >= ANSWERS_WITHIN_MS) {
    return "silent";
  }
  return isRecent(listensSinceMs, nowMs) ? "unheard" : "silent";
}

function problemOf({ problem, doubledAtMs }: Known, nowMs: number): string | null {
  if (problem !== null) return problem;
  return isRecent(doubledAtMs, nowMs) ? "two machines use this name" : null;
}
