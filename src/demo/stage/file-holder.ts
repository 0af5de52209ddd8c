// A process that holds a file of the share open, as an editor or a player would: `tail -f`.
import { spawn } from "node:child_process";
import { MountaineerError } from "../../runtime/errors.ts";
import { type ProcessIdentity, processIdentity } from "../../runtime/process/process-identity.ts";
import { settledWithin, systemClock } from "../../runtime/time/clock.ts";

export type FileHolder = Awaited<ReturnType<typeof holdFile>>;

interface HolderOptions {
  readonly environment: Readonly<Record<string, string>>;
  readonly onStart: (identity: ProcessIdentity) => void;
}

const OPENS_WITHIN_MS = 15_000;
const CLOSES_WITHIN_MS = 2_000;

/** Resolves once the file is open: its first bytes have come. Rejects with `timed_out`, `program_unavailable`. */
export async function holdFile(path: string, { environment, onStart }: HolderOptions) {
  const child = spawn("tail", ["-n", "+1", "-f", "--", path], {
    cwd: "/",
    detached: true,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let ended = false;
  let complaint = "";
  const end = new Promise<void>((resolve) => {
    for (const event of ["exit", "error"] as const) {
      child.once(event, () => {
        ended = true;
        resolve();
      });
    }
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-500);
  });
  const opened = new Promise<boolean>((resolve) => {
    child.stdout.once("data", () => resolve(true));
    void end.then(() => resolve(false));
  });
  child.stdout.resume();
  const identity = child.pid === undefined ? null : await processIdentity(child.pid);
  if (identity !== null) onStart(identity);
  const close = async (): Promise<void> => {
    if (ended) return;
    child.kill("SIGKILL");
    await settledWithin(systemClock, CLOSES_WITHIN_MS, end);
    for (const stream of [child.stdout, child.stderr]) stream.destroy();
    child.unref();
  };
  const isLate = !(await settledWithin(systemClock, OPENS_WITHIN_MS, opened));
  if (isLate || !(await opened) || child.pid === undefined) {
    await close();
    if (isLate) throw new MountaineerError("timed_out", `${path} could not be opened in time`);
    throw new MountaineerError("program_unavailable", `tail could not open it: ${complaint.trim()}`);
  }
  return {
    pid: child.pid,
    /** The process has ended, by `close` or because what it held is gone. */
    get ended() {
      return ended;
    },
    /** Resolves when it has ended; gives up after two seconds, should it be stuck in a dead mount. */
    close,
  };
}
