// Sums over time in slots of equal width, packed: a slot takes a few bytes, and equal neighbours take as much as one.

/** Sums by their keys, 0 to 127; a sum is a whole number, and absent if it is 0. */
export type Sums = Map<number, number>;

/** `count` equal slots, from slot `at` on. Slot n begins n widths after 1970. */
export interface Run {
  readonly at: number;
  readonly count: number;
  readonly sums: Sums;
}

/** Slots without a run are unknown. */
export class Slots {
  /** The slot of the oldest run; infinite: there is none. */
  first = Number.POSITIVE_INFINITY;
  /** The packed runs; then two more, because the last slot still changes, and may then equal the one before. */
  #bytes = new Uint8Array(0);
  #used = 0;
  #end = 0;
  #before: Run | null = null;
  #last: Run | null = null;

  /** Throws a RangeError if `packed` is damaged. */
  constructor(packed: Uint8Array = new Uint8Array(0)) {
    for (const run of decoded(packed)) this.push(run);
  }

  get bytes(): number {
    return this.#used;
  }

  /** Appends a run, or adds to the newest slot. Runs that begin before the newest slot are ignored. */
  push(run: Run): void {
    const last = this.#last;
    if (last !== null && run.at === last.at + last.count - 1) {
      if (last.count > 1) this.#close({ ...last, count: last.count - 1 });
      const sums = new Map(last.sums);
      addTo(sums, run.sums, 1);
      this.#last = { at: run.at, count: 1, sums };
      if (run.count > 1) this.push({ ...run, at: run.at + 1, count: run.count - 1 });
      return;
    }
    if (last !== null && run.at < last.at + last.count) return;
    if (last !== null) this.#close(last);
    this.#last = { ...run, sums: new Map(run.sums) };
    this.first = Math.min(this.first, run.at);
  }

  /** Oldest first. */
  *runs(): Generator<Run> {
    yield* decoded(this.#bytes.subarray(0, this.#used));
    if (this.#before !== null) yield this.#before;
    if (this.#last !== null) yield this.#last;
  }

  /** Drops all slots outside `from` to `until`, which is excluded. */
  clip(from: number, until: number): void {
    this.#refill(
      [...this.runs()].flatMap((run) => {
        const at = Math.max(run.at, from);
        const count = Math.min(run.at + run.count, until) - at;
        return count > 0 ? [{ ...run, at, count }] : [];
      }),
    );
  }

  /** Drops the oldest runs if all take more than about `mostBytes`. */
  bound(mostBytes: number): void {
    if (this.#used <= mostBytes) return;
    const runs = [...this.runs()];
    this.#refill(runs.slice(-Math.max(1, Math.floor((runs.length * mostBytes) / this.#used))));
  }

  packed(): Uint8Array {
    const all = new Slots();
    for (const run of this.runs()) all.#write(run);
    return all.#bytes.slice(0, all.#used);
  }

  #refill(runs: readonly Run[]): void {
    this.#used = 0;
    this.#end = 0;
    this.#before = null;
    this.#last = null;
    this.first = Number.POSITIVE_INFINITY;
    for (const run of runs) this.push(run);
  }

  #close(run: Run): void {
    const before = this.#before;
    if (before !== null && before.at + before.count === run.at && isEqual(before.sums, run.sums)) {
      this.#before = { ...before, count: before.count + run.count };
      return;
    }
    if (before !== null) this.#write(before);
    this.#before = run;
  }

  #write({ at, count, sums }: Run): void {
    this.#writeNumber(at - this.#end);
    this.#writeNumber(count);
    this.#writeNumber(sums.size);
    for (const [key, sum] of sums) {
      this.#writeNumber(key);
      this.#writeNumber(sum);
    }
    this.#end = at + count;
  }

  /** Seven bits a byte, the lowest first; the highest bit says that more follow. */
  #writeNumber(value: number): void {
    if (this.#used + 8 > this.#bytes.length) {
      const larger = new Uint8Array(Math.ceil(this.#bytes.length * 1.125) + 64);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    let rest = value;
    for (; rest > 127; rest = Math.floor(rest / 128)) this.#bytes[this.#used++] = (rest % 128) + 128;
    this.#bytes[this.#used++] = rest;
  }
}

export function addTo(sums: Sums, more: Sums, times: number): void {
  for (const [key, sum] of more) sums.set(key, (sums.get(key) ?? 0) + sum * times);
}

export function isEqual(one: Sums, other: Sums): boolean {
  if (one.size !== other.size) return false;
  for (const [key, sum] of one) if (other.get(key) !== sum) return false;
  return true;
}

function* decoded(bytes: Uint8Array): Generator<Run> {
  let next = 0;
  const read = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[next++];
      if (byte === undefined || factor > 2 ** 49) throw new RangeError("packed numbers are damaged");
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  };
  for (let end = 0; next < bytes.length; ) {
    const at = end + read();
    const count = read();
    const sums: Sums = new Map();
    for (let left = read(); left > 0; left--) sums.set(read(), read());
    end = at + count;
    yield { at, count, sums };
  }
}
