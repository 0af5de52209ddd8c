// Talks to a test's program in lines of JSON.
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { eventually } from "../support/eventually.ts";

export interface LineProgram {
  readonly lines: readonly Record<string, unknown>[];
  readonly stderr: () => string;
  send(line: string): void;
  kill(signal: NodeJS.Signals): void;
  /** Stops the whole program where it is, until `goOn`. */
  stop(): void;
  goOn(): void;
  /** The first line from `from` on that the check takes. */
  waitFor(check: (line: Record<string, unknown>) => boolean, from?: number): Promise<Record<string, unknown>>;
  /** How the program ended, and how long after this call it was known. */
  ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null; afterMs: number }>;
}

/** A program of ours that starts beside others on a slow machine takes seconds to say its first word. */
const DEADLINE_MS = 60_000;

type PipedChild = ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable };

export function talkTo(child: PipedChild): LineProgram {
  const lines: Record<string, unknown>[] = [];
  let errors = "";
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(JSON.parse(line)));
  child.stderr.on("data", (chunk) => {
    errors += String(chunk);
  });
  child.stdin.on("error", () => {});
  return {
    lines,
    stderr: () => errors,
    send: (line) => void child.stdin.write(`${line}\n`),
    kill: (signal) => void child.kill(signal),
    stop: () => void child.kill("SIGSTOP"),
    goOn: () => void child.kill("SIGCONT"),
    waitFor: (check, from = 0) => eventually(() => lines.slice(from).find(check) ?? null, DEADLINE_MS),
    async ended() {
      const startedAt = performance.now();
      await eventually(() => child.exitCode !== null || child.signalCode !== null, DEADLINE_MS);
      return { code: child.exitCode, signal: child.signalCode, afterMs: performance.now() - startedAt };
    },
  };
}
