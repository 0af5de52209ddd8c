// What was the case with each of several subjects over the last day: spans, bounded in number.

export const DAY_MS = 24 * 3_600_000;
/** Of one subject; the oldest go. */
export const MOST_SPANS = 400;
/** Of all subjects together; the one that has most loses its oldest. */
export const MOST_IN_ALL = 10_000;
/** The first that is no longer there makes room for another one. */
export const MOST_SUBJECTS = 500;

export interface Span<State> {
  readonly fromMs: number;
  readonly toMs: number;
  /** It was still the case at `toMs`. */
  readonly isOpen: boolean;
  readonly state: State;
}

interface Subject<State> {
  readonly spans: { fromMs: number; toMs: number | null; readonly state: State }[];
}

/** Times are wall ms. States are compared by `same`. */
export class Spans<State> {
  readonly #subjects = new Map<string, Subject<State>>();
  readonly #same: (one: State, other: State) => boolean;
  #changes = 0;

  constructor(same: (one: State, other: State) => boolean) {
    this.#same = same;
  }

  /** Grows with each span that begins or ends. */
  get changes(): number {
    return this.#changes;
  }

  /**
   * What another process told of a subject; before anything is noted of it. `goesOn`: what was open still is; else nothing
   * is known from its end on.
   */
  restore(name: string, told: readonly Span<State>[], goesOn: boolean, nowMs: number): void {
    const { spans } = this.#subjectOf(name);
    for (const { fromMs, toMs, isOpen, state } of told) {
      spans.push({ fromMs, toMs: isOpen && goesOn ? null : toMs, state });
    }
    forgetLaterThan(nowMs, spans);
  }

  /** What is the case from now on. */
  note(name: string, state: State, nowMs: number): void {
    const { spans } = this.#subjectOf(name);
    forgetLaterThan(nowMs, spans);
    const last = spans.at(-1);
    if (last !== undefined && last.toMs === null) {
      if (this.#same(last.state, state)) return;
      last.toMs = nowMs;
    }
    spans.push({ fromMs: nowMs, toMs: null, state });
    this.#changes += 1;
    if (spans.length > MOST_SPANS) spans.splice(0, spans.length - MOST_SPANS);
    this.#makeRoom();
  }

  /** Those that are not among `names` are no longer there. */
  keepOnly(names: ReadonlySet<string>, nowMs: number): void {
    for (const [name, { spans }] of this.#subjects) {
      const last = spans.at(-1);
      if (names.has(name) || last?.toMs !== null) continue;
      last.toMs = Math.max(last.fromMs, nowMs);
      this.#changes += 1;
    }
  }

  /** Of the last day, by subject; what ended before is forgotten. */
  told(nowMs: number): ReadonlyMap<string, readonly Span<State>[]> {
    const sinceMs = nowMs - DAY_MS;
    for (const [name, { spans }] of this.#subjects) {
      const first = spans.findIndex(({ toMs }) => toMs === null || toMs > sinceMs);
      spans.splice(0, first === -1 ? spans.length : first);
      forgetLaterThan(nowMs, spans);
      if (spans.length === 0) this.#subjects.delete(name);
    }
    return new Map(
      [...this.#subjects].map(([name, { spans }]) => [
        name,
        spans.map(({ fromMs, toMs, state }) => ({
          fromMs: Math.max(fromMs, sinceMs),
          toMs: toMs ?? nowMs,
          isOpen: toMs === null,
          state,
        })),
      ]),
    );
  }

  #makeRoom(): void {
    let inAll = 0;
    let most: Subject<State>["spans"] = [];
    for (const { spans } of this.#subjects.values()) {
      inAll += spans.length;
      if (spans.length > most.length) most = spans;
    }
    if (inAll > MOST_IN_ALL) most.shift();
  }

  #subjectOf(name: string): Subject<State> {
    const known = this.#subjects.get(name);
    if (known !== undefined) return known;
    if (this.#subjects.size >= MOST_SUBJECTS) {
      const gone = [...this.#subjects].find(([, { spans }]) => spans.at(-1)?.toMs !== null);
      const [first] = gone ?? this.#subjects.keys().toArray();
      if (first !== undefined) this.#subjects.delete(first);
    }
    const made = { spans: [] };
    this.#subjects.set(name, made);
    return made;
  }
}

/** The clock was set back: what is the case now began now at the latest, and no span ends before it began. */
function forgetLaterThan(nowMs: number, spans: Subject<unknown>["spans"]): void {
  const last = spans.at(-1);
  if (last === undefined || Math.max(last.fromMs, last.toMs ?? 0) <= nowMs) return;
  const kept = spans.filter(({ fromMs }) => fromMs < nowMs);
  if (last.toMs === null && !kept.includes(last)) kept.push(last);
  for (const span of kept) {
    span.fromMs = Math.min(span.fromMs, nowMs);
    if (span.toMs !== null) span.toMs = Math.min(span.toMs, nowMs);
  }
  spans.splice(0, spans.length, ...kept);
}
