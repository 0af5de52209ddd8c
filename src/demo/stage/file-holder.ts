// A process that holds a file of the share open, as an editor or a player would: `tail -f`.
import { MountaineerError } from "../../runtime/errors.ts";
import { settlesWithin, systemClock } from "../../runtime/time/clock.ts";
import { type ProgramOptions, startProgram } from "./program.ts";

export type OpenedFile = Awaited<ReturnType<typeof openFile>>;

const OPENS_WITHIN_MS = 15_000;
const CLOSES_WITHIN_MS = 2_000;

/**
 * Opens the file with `tail -f`. Resolves when its first bytes have arrived. Rejects with `timed_out`,
 * `program_unavailable`.
 */
export async function openFile(path: string, options: ProgramOptions) {
  const program = await startProgram("tail", ["-n", "+1", "-f", "--", path], options);
  const { child, ended } = program;
  const opened = new Promise<boolean>((resolve) => {
    child.stdout.once("data", () => resolve(true));
    void ended.then(() => resolve(false));
  });
  child.stdout.resume();
  const close = async (): Promise<void> => {
    if (program.hasEnded) return;
    child.kill("SIGKILL");
    await settlesWithin(systemClock, CLOSES_WITHIN_MS, ended);
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
    child.unref();
  };
  const isLate = !(await settlesWithin(systemClock, OPENS_WITHIN_MS, opened));
  if (isLate || !(await opened) || child.pid === undefined) {
    await close();
    if (isLate) throw new MountaineerError("timed_out", `${path} could not be opened in time`);
    throw new MountaineerError("program_unavailable", `tail could not open it: ${program.stderr}`);
  }
  return {
    pid: child.pid,
    /** True after `close`, and if tail ended because the file's mount is gone. */
    get ended() {
      return program.hasEnded;
    },
    /** Ends tail. Resolves when tail has ended, or after 2 s if tail is stuck in a dead mount. */
    close,
  };
}
