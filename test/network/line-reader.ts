// Talks to a test's program in lines of JSON.

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { inspect } from "node:util";
import { collect } from "../support/collect.ts";
import { eventually } from "../support/eventually.ts";

export interface LineProgram {
  readonly lines: readonly Record<string, unknown>[];
  readonly stderr: () => string;
  send(line: string): void;
  kill(signal: NodeJS.Signals): void;
  /** Stops the whole program where it is, until `goOn`. */
  stop(): void;
  goOn(): void;
  /** The first line from `from` on that the check takes. A program that ends before fails it at once, with its last words. */
  waitFor(check: (line: Record<string, unknown>) => boolean, from?: number): Promise<Record<string, unknown>>;
  /** How the program ended, and how long after this call it was known. */
  ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null; afterMs: number }>;
}

/** A program of ours that starts beside others on a slow machine takes seconds to say its first word. */
const DEADLINE_MS = 60_000;

type PipedChild = ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable };

export function talkTo(child: PipedChild): LineProgram {
  const lines: Record<string, unknown>[] = [];
  const { stderr } = collect(child);
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(JSON.parse(line)));
  child.stdin.on("error", () => {});
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const lastWords = (): string => `its last lines: ${inspect(lines.slice(-5))} ${stderr().slice(-2_000)}`;
  return {
    lines,
    stderr,
    send: (line) => void child.stdin.write(`${line}\n`),
    kill: (signal) => void child.kill(signal),
    stop: () => void child.kill("SIGSTOP"),
    goOn: () => void child.kill("SIGCONT"),
    async waitFor(check, from = 0) {
      const look = () => lines.slice(from).find(check) ?? null;
      const found = await eventually(() => look() ?? (hasEnded() ? "ended" : null), DEADLINE_MS).catch(
        (error) => {
          throw new Error(`${lastWords()}, ${child.pid} in state ${stateOf(child.pid)}`, { cause: error });
        },
      );
      const line = found === "ended" ? look() : found;
      return line ?? assert.fail(`it ended with ${child.exitCode ?? child.signalCode}; ${lastWords()}`);
    },
    async ended() {
      const startedAt = performance.now();
      await eventually(hasEnded, DEADLINE_MS);
      return { code: child.exitCode, signal: child.signalCode, afterMs: performance.now() - startedAt };
    },
  };
}

/** On Linux: each thread's letter and what it waits in, as a thread that no event reaches shows where it stands. */
function stateOf(pid: number | undefined): string {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    return tasks
      .map((task) => readFileSync(`/proc/${pid}/task/${task}/stat`, "utf8").split(" ").slice(1, 3))
      .join(" ");
  } catch {
    return "unknown";
  }
}
