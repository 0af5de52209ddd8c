// Starts a daemon that outlives whoever starts it, and waits until one answers.
import { ERROR_CODES, type ErrorCode, MountaineerError } from "../../runtime/errors.ts";
import { startDetached } from "../../runtime/process/child-process.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { connectToDaemon, type DaemonClient } from "./client.ts";

const BETWEEN_LOOKS_MS = 100;
/** A large home on a busy machine takes some seconds. */
const ANSWERS_WITHIN_MS = 60_000;
/** Several error codes share an exit code; a daemon's start ends with one of these. */
const STARTING_ERRORS: readonly ErrorCode[] = ["config_invalid", "state_newer", "home_unwritable"];

/** Work at one home, until the signal aborts. */
export interface HomeOptions {
  /** Absolute. */
  readonly home: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

interface DaemonStart extends HomeOptions {
  /** The daemon's argv. */
  readonly command: readonly string[];
}

/** Resolves once a daemon of this home answers; rejects with `program_unavailable`: what it ended with, or that none does. */
export async function startDaemon({
  home,
  command: [file = "", ...args],
  environment,
  clock,
  signal,
}: DaemonStart): Promise<DaemonClient> {
  const env = Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  const child = await startDetached(file, args, { env, logPath: null });
  let ended: number | null = null;
  child.onExit(({ code }) => {
    ended = code ?? 1;
  });
  const untilMs = clock.monotonicMs() + ANSWERS_WITHIN_MS;
  for (;;) {
    const daemon = await connectToDaemon(home, { clock });
    if (daemon !== null) return daemon;
    signal.throwIfAborted();
    // Another one that came first serves soon.
    if (ended !== null && ended !== ERROR_CODES.already_running.exit) throw endedAtOnce(ended);
    if (clock.monotonicMs() >= untilMs) throw silent();
    await clock.sleep(BETWEEN_LOOKS_MS, signal);
  }
}

function silent(): MountaineerError {
  return new MountaineerError("program_unavailable", "Mountaineer was started, and does not answer", {
    hint: "mountaineer logs shows what it is at",
  });
}

function endedAtOnce(exitCode: number): MountaineerError {
  const known = Object.entries(ERROR_CODES).find(
    ([code, { exit }]) => exit === exitCode && (STARTING_ERRORS as readonly string[]).includes(code),
  );
  const why = known === undefined ? `exit code ${exitCode}` : known[1].means;
  return new MountaineerError("program_unavailable", `Mountaineer ended at once: ${why}`, {
    hint: "see what it says in a terminal: mountaineer monitor",
  });
}
