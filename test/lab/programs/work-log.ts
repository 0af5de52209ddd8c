// The log of a program at work: each operation with its times and its error, on a local disk, line by line.
import { appendFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

export interface WorkLine {
  readonly operation: string;
  /** On the machine's monotonic clock, which all processes share, ms. */
  readonly fromMs: number;
  readonly toMs: number;
  /** 1 for the first try, 2 for its repetition. */
  readonly attempt: number;
  readonly error: string | null;
  /** What was acknowledged: a line's number, a row's, a version's. */
  readonly value: number;
}

export interface Work {
  /** Whether the program was asked to end. */
  readonly ending: boolean;
  /** Runs one operation and logs it; false when it failed. */
  once(operation: string, value: number, act: () => void | Promise<void>, attempt?: number): Promise<boolean>;
  /** Runs one operation, and once more when it failed. */
  twice(operation: string, value: number, act: () => void | Promise<void>): Promise<boolean>;
  /** Lets a signal in. */
  rest(ms: number): Promise<void>;
}

export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/** Ends by SIGTERM, once the operation under way has ended. */
export function startWork(log: string): Work {
  let ending = false;
  process.on("SIGTERM", () => {
    ending = true;
  });
  const work: Work = {
    get ending() {
      return ending;
    },
    async once(operation, value, act, attempt = 1) {
      const fromMs = monotonicMs();
      let error: string | null = null;
      try {
        await act();
      } catch (thrown) {
        error = thrown instanceof Error ? thrown.message : String(thrown);
      }
      const line: WorkLine = { operation, fromMs, toMs: monotonicMs(), attempt, error, value };
      appendFileSync(log, `${JSON.stringify(line)}\n`);
      return error === null;
    },
    twice: async (operation, value, act) =>
      (await work.once(operation, value, act)) || (await work.once(operation, value, act, 2)),
    rest: async (ms) => void (await pause(ms)),
  };
  return work;
}

/** The program's own arguments; the first is its log. */
export function argument(index: number): string {
  const given = process.argv[index + 2];
  if (given === undefined) throw new Error(`argument ${index} is missing`);
  return given;
}
