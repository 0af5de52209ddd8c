// The demo's daemon: the same program, in a process of its own.

import { MountaineerError } from "../../runtime/errors.ts";
import { type ExitInfo, startDetached } from "../../runtime/process/child-process.ts";
import { type ProcessIdentity, processIdentity } from "../../runtime/process/process-identity.ts";
import { settledWithin, systemClock } from "../../runtime/time/clock.ts";

export type MonitorProcess = Awaited<ReturnType<typeof startMonitor>>;

interface MonitorOptions {
  /** The argv that runs Mountaineer. */
  readonly program: readonly string[];
  /** The script of a service manager's process, under which the daemon can hand over; null: it runs by itself. */
  readonly keeper: string | null;
  readonly environment: Readonly<Record<string, string>>;
  /** Its stderr is appended to this file. */
  readonly outputFile: string;
  readonly onStart: (identity: ProcessIdentity) => void;
}

const ENDS_WITHIN_MS = 15_000;

/** Resolves when the process runs, which is before it serves. */
export async function startMonitor(options: MonitorOptions) {
  const { keeper, program } = options;
  const [command = process.execPath, ...rest] = keeper === null ? program : ["/bin/sh", keeper, ...program];
  const started = await startDetached(command, [...rest, "monitor", "--unmount-on-exit"], {
    env: options.environment,
    logPath: options.outputFile,
  });
  const identity = await processIdentity(started.pid);
  if (identity !== null) options.onStart(identity);
  let running = true;
  started.onExit(() => {
    running = false;
  });
  return {
    pid: started.pid,
    get running() {
      return running;
    },
    /** Resolves with how it ended, at once if it has already. Rejects with `timed_out` when it does not in 15 s. */
    async end(signal: "SIGTERM" | "SIGKILL"): Promise<ExitInfo> {
      if (running) process.kill(started.pid, signal);
      if (await settledWithin(systemClock, ENDS_WITHIN_MS, started.exited)) return started.exited;
      throw new MountaineerError("timed_out", `the daemon (pid ${started.pid}) did not end on ${signal}`);
    },
  };
}
