// Random choices that a seed repeats.

/** mulberry32: numbers from 0 up to 1. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A test's own choices; their seed is in its output, and MOUNTAINEER_SEED sets another. */
export function randomOf(t: { diagnostic(message: string): void }): () => number {
  const seed = Number(process.env["MOUNTAINEER_SEED"] ?? 261_123);
  t.diagnostic(`seed ${seed} (MOUNTAINEER_SEED)`);
  return randomFrom(seed);
}

export function pick<T>(random: () => number, of: readonly T[]): T {
  const picked = of[Math.floor(random() * of.length)];
  if (picked === undefined) throw new Error("nothing to pick from");
  return picked;
}

export function shuffle<T>(random: () => number, of: readonly T[]): readonly T[] {
  return of
    .map((each) => ({ each, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ each }) => each);
}
