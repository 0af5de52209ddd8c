// What a child process writes, and how it ends.
import type { ChildProcess } from "node:child_process";

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Collected {
  /** Its output is read to the end by then; rejects when it could not be started. */
  readonly ended: Promise<Ran>;
  /** What has come so far. */
  stdout(): string;
  stderr(): string;
}

/** `input`: all of its standard input. */
export function collect(child: ChildProcess, input?: string | Buffer): Collected {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
  });
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk;
  });
  if (input !== undefined) {
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  }
  const ended = new Promise<Ran>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { ended, stdout: () => stdout, stderr: () => stderr };
}
