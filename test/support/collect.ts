// What a child process writes, and how it ends.
import type { ChildProcess } from "node:child_process";

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Collected = ReturnType<typeof collect>;

/** `input`: all of its standard input. */
export function collect(child: ChildProcess, input?: string | Buffer) {
  /** What has come so far. */
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
  /** Its output is read to the end by then; rejects when it could not be started. */
  const ended = new Promise<Ran>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { ended, stdout: () => stdout, stderr: () => stderr };
}
