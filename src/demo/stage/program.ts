// A program that the demo starts next to the daemon, in a separate session. The stage ends the program if nothing else
// does.
import { spawn } from "node:child_process";
import { type ProcessIdentity, processIdentity } from "../../runtime/process/process-identity.ts";

export interface ProgramOptions {
  readonly environment: Readonly<Record<string, string>>;
  /** Called with each process as soon as it exists. */
  readonly onStart: (identity: ProcessIdentity) => void;
}

const STDERR_CHARACTERS = 500;

/** Starts the program. Never rejects: a failed start counts as a program that ended with a failure. */
export async function startProgram(
  command: string,
  args: readonly string[],
  { environment, onStart }: ProgramOptions,
) {
  const child = spawn(command, args, { cwd: "/", detached: true, env: environment, stdio: "pipe" });
  let stderr = "";
  let hasEnded = false;
  let failure: string | null = null;
  const ended = new Promise<void>((resolve) => {
    const end = (reason: string | null): void => {
      failure ??= reason;
      hasEnded = true;
      resolve();
    };
    child.once("error", (error) => end(error.message));
    child.once("close", (code, signal) => end(code === 0 ? null : `it ended with ${code ?? signal}`));
  });
  child.stdin.on("error", () => {});
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-STDERR_CHARACTERS);
  });
  const identity = child.pid === undefined ? null : await processIdentity(child.pid);
  if (identity !== null) onStart(identity);
  return {
    child,
    /** Resolves when the program has ended, or could not be started. */
    ended,
    get hasEnded() {
      return hasEnded;
    },
    /** Why the program could not be started, or how it ended; null while it runs, and if it ended with 0. */
    get failure() {
      return failure;
    },
    get stderr() {
      return stderr.trim();
    },
  };
}
