// Runs programs in the guest, as root or as its one user, each with a deadline.
import { runCommand } from "../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";

export type Who = "root" | "ann";

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  readonly ms: number;
  readonly timedOut: boolean;
}

export interface RunOptions {
  readonly as?: Who;
  readonly deadlineMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
}

const ANN = [
  "setpriv",
  "--reuid",
  "ann",
  "--regid",
  "ann",
  "--init-groups",
  "env",
  "HOME=/home/ann",
  "USER=ann",
];

/** What to put before a command's argv. */
export function prefixFor(who: Who): readonly string[] {
  return who === "ann" ? ANN : [];
}

/** Any exit is a value. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { as = "root", deadlineMs = 60_000, env = {}, stdin } = options;
  const [file = "true", ...args] = [...prefixFor(as), ...argv];
  const result = await runCommand(file, args, {
    clock: systemClock,
    deadlineMs,
    env,
    killGroup: true,
    killGraceMs: 0,
    ...(stdin === undefined ? {} : { stdin }),
  });
  return {
    code: result.exitCode,
    out: result.stdout,
    err: result.stderr,
    ms: Math.round(result.tookMs),
    timedOut: result.timedOut,
  };
}

/** Throws with the program's own words when it fails. */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, out, err } = await run(argv, options);
  if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}: ${(err || out).trim().slice(-600)}`);
  return out;
}
