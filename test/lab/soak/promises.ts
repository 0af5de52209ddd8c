// The promises that a soak checks, how often it did, and what was not so.

export const PROMISES = {
  path: "each share has one path that stays, and one mount at most",
  readable: "the configuration and what the daemon keeps can be read at any moment",
  stays: "the daemon ends only when it is ended",
  status: "status answers within its limit",
  commands: "commands end in time, with an exit code of theirs",
  calm: "once the world is calm all is right, and no call fails",
  answered: "every call ends within its deadline",
  once: "no call is executed twice, and none is answered that was not executed",
  sessions: "sessions survive",
  written: "what was acknowledged is on the server, or set aside and named",
  memory: "the memory of each process is flat",
  descriptors: "the open descriptors of each process are flat",
  secrets: "no secret is in what is written or told",
  leftovers: "no process, mount, socket or namespace is left",
} as const;
export type Promised = keyof typeof PROMISES;

export interface Ledger {
  /** It was looked at once, or so often, and was so unless `broken` says otherwise. */
  checked(promise: Promised, times?: number): void;
  /** Told at once; the same words again are only counted. */
  broken(promise: Promised, how: string): void;
  /** Checks and runs on: `broken` with the words unless it holds. */
  expect(promise: Promised, holds: boolean, how: () => string): void;
  /** One line a promise, and whether all were kept. */
  report(): { readonly lines: readonly string[]; readonly kept: number; readonly failed: number };
}

/** `unjudged`: promises that this soak does not look at. */
export function createLedger(say: (line: string) => void, unjudged: readonly Promised[] = []): Ledger {
  const counts = new Map<Promised, number>();
  const breaks = new Map<Promised, Map<string, number>>();
  const self: Ledger = {
    checked: (promise, times = 1) => void counts.set(promise, (counts.get(promise) ?? 0) + times),
    broken(promise, how) {
      const known = breaks.get(promise) ?? new Map<string, number>();
      breaks.set(promise, known.set(how, (known.get(how) ?? 0) + 1));
      if (known.get(how) === 1) say(`BROKEN  ${PROMISES[promise]}: ${how}`);
    },
    expect(promise, holds, how) {
      self.checked(promise);
      if (!holds) self.broken(promise, how());
    },
    report() {
      const names = Object.keys(PROMISES)
        .filter((name): name is Promised => name in PROMISES)
        .filter((name) => !unjudged.includes(name));
      const lines = names.flatMap((name) => {
        const wrong = [...(breaks.get(name) ?? [])];
        const checks = counts.get(name) ?? 0;
        const mark = wrong.length > 0 ? "BROKEN" : checks === 0 ? "unseen" : "kept  ";
        return [
          `  ${mark}  ${PROMISES[name]} (${checks} checks)`,
          ...wrong.map(([how, times]) => `          ${times} ×: ${how}`),
        ];
      });
      // What nobody looked at was not kept.
      const failed = names.filter((name) => breaks.has(name) || (counts.get(name) ?? 0) === 0).length;
      return { lines, kept: names.length - failed, failed };
    },
  };
  return self;
}
