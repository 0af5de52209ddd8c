// Starts a daemon that outlives this process, and waits until it answers.
import { ERROR_MEANINGS } from "../../runtime/error-meanings.ts";
import { ERROR_CODES, type ErrorCode, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { startDetached } from "../../runtime/process/child-process.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { connectToDaemon, type DaemonClient } from "./client.ts";

const BETWEEN_CHECKS_MS = 100;
/** A large home on a busy machine takes some seconds. */
const ANSWERS_WITHIN_MS = 60_000;
/** The errors with which a daemon's start can fail. Other errors with the same exit codes cannot happen at a start. */
const STARTING_ERRORS: readonly ErrorCode[] = ["config_invalid", "state_newer", "home_unwritable"];

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

/**
 * Starts `command`, and resolves once a daemon of this home answers. Rejects with `program_unavailable` if
 * the command fails or no daemon answers in time.
 */
export async function startDaemon({
  home,
  command: [file = "", ...args],
  environment,
  clock,
  signal,
}: DaemonStart): Promise<DaemonClient> {
  signal.throwIfAborted();
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
    const daemon = await connectToDaemon(home, { clock }).catch(recoverFrom("daemon_unreachable", null));
    if (daemon !== null) return daemon;
    // `already_running`: another daemon was started first and will answer soon.
    if (ended !== null && ended !== ERROR_CODES.already_running.exit) throw endedAtOnce(ended);
    if (clock.monotonicMs() >= untilMs) throw silent();
    await clock.sleep(BETWEEN_CHECKS_MS, signal);
  }
}

function silent(): MountaineerError {
  return new MountaineerError("program_unavailable", "Mountaineer was started, but does not answer", {
    hint: "mountaineer logs shows what it is doing",
  });
}

function endedAtOnce(exitCode: number): MountaineerError {
  const known = STARTING_ERRORS.find((code) => ERROR_CODES[code].exit === exitCode);
  const why = known === undefined ? `exit code ${exitCode}` : ERROR_MEANINGS[known];
  return new MountaineerError("program_unavailable", `Mountaineer ended at once: ${why}`, {
    hint: "run it in a terminal to see why: mountaineer monitor",
  });
}
