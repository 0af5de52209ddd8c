// A program that is run while a route lasts, with what it starts.
import { constants } from "node:os";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { spawnChild } from "../../runtime/process/child-process.ts";

export interface RoutedProgram {
  readonly name: string;
  readonly exitCode: () => number | null;
  readonly ended: Promise<number>;
  /** Sends a signal to the program and to what it has started. One that is stopped hears SIGTERM once it continues. */
  readonly signal: (name: "SIGTERM" | "SIGSTOP" | "SIGCONT") => void;
}

/** Starts it in a separate process group. */
export function startRouted([name = "", ...args]: readonly string[]): RoutedProgram {
  const child = spawnChild(name, args, { stdio: "inherit", detached: true });
  let code: number | null = null;
  const ended = new Promise<number>((resolve, reject) => {
    child.once("error", (error) =>
      reject(new MountaineerError("program_unavailable", `cannot start ${name}: ${errorText(error)}`)),
    );
    child.once("exit", (exit, signal) => {
      code = exit ?? 128 + (signal === null ? 0 : constants.signals[signal]);
      resolve(code);
    });
  });
  return {
    name,
    ended,
    exitCode: () => code,
    signal(signal) {
      if (child.pid === undefined || code !== null) return;
      try {
        process.kill(-child.pid, signal);
        if (signal === "SIGTERM") process.kill(-child.pid, "SIGCONT");
      } catch (error) {
        // It has just ended.
        if (systemErrorCode(error) !== "ESRCH") throw error;
      }
    },
  };
}
