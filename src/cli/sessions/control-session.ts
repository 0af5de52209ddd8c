// Finds who answers a command: the running daemon, one that is just starting, or the engine in this process.
import { connectToDaemon, type DaemonClient, type RemoteControl } from "../../api/client/client.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";

/** How long a changing command waits for the socket of a daemon that holds the lock already. */
const STARTING_DEADLINE_MS = 10_000;
const BETWEEN_LOOKS_MS = 50;
/** A service manager pauses for 5 s before it starts one that was killed. */
const RETURNS_WITHIN_MS = 10_000;

export interface Ask {
  /** "look" takes no lock and changes nothing; "change" waits its turn. */
  readonly intent: "look" | "change";
  /** The command's name, for whoever waits for its lock. */
  readonly command: string;
}

/**
 * Runs `use` with the control that answers for this home. Rejects with what `use` rejects with, `daemon_unreachable`
 * when a daemon has the lock and never serves, `usage` when it runs with another configuration than `--config`
 * names, and what the engine in process rejects with.
 */
export function withControl<T>(
  context: CommandContext,
  ask: Ask,
  use: (control: RemoteControl) => Promise<T>,
  clock: Clock = systemClock,
): Promise<T> {
  return withDaemonOr(context, ask.intent, use, () => inProcess(context, ask, use), clock);
}

/** Something done without a daemon, unless a monitor took the lock first: then that is asked like any daemon. */
type Alone<T> = { kind: "done"; value: T } | { kind: "monitor_came_first"; error: MountaineerError };

/**
 * Runs `withDaemon` with the daemon of this home, else `alone`; the latter is tried again when a monitor came first.
 * Rejects with what they reject with, and as `withControl` does.
 */
export async function withDaemonOr<T>(
  context: CommandContext,
  intent: Ask["intent"],
  withDaemon: (daemon: DaemonClient) => Promise<T>,
  alone: () => Promise<Alone<T>>,
  clock: Clock = systemClock,
): Promise<T> {
  const deadline = clock.monotonicMs() + STARTING_DEADLINE_MS;
  for (;;) {
    const daemon = await findDaemon(context, clock);
    if (daemon !== null) return withDaemon(daemon);
    const monitor = intent === "change" ? await startingMonitor(context.home) : null;
    if (monitor === null) {
      const outcome = await alone();
      if (outcome.kind === "done") return outcome.value;
      if (clock.monotonicMs() >= deadline) throw outcome.error;
    } else if (clock.monotonicMs() >= deadline) {
      const message = `mountaineer monitor (pid ${monitor.pid}) holds this home, and does not serve`;
      throw new MountaineerError("daemon_unreachable", message, {
        hint: `see what it says; it can be ended with: kill ${monitor.pid}`,
        retry: "later",
      });
    }
    await clock.sleep(BETWEEN_LOOKS_MS, context.signal);
  }
}

/** The daemon of this home, or null. Rejects with `usage` when it runs with another configuration than `--config` names. */
export async function findDaemon(
  { home, configPath, signal }: CommandContext,
  clock: Clock = systemClock,
): Promise<DaemonClient | null> {
  const daemon = await connectToDaemon(home, { clock });
  if (daemon !== null && configPath !== null) {
    const { requireSameConfig } = await import("../../api/client/same-config.ts");
    await requireSameConfig((await daemon.status(signal)).global.config_path, configPath);
  }
  return daemon;
}

/**
 * The daemon that is just starting, or takes the place of one that ended without a farewell; null when none is expected,
 * or none has come.
 */
export async function returningDaemon(
  context: CommandContext,
  clock: Clock = systemClock,
): Promise<DaemonClient | null> {
  const { readDaemonNote } = await import("../../api/socket/daemon-note.ts");
  const { home, signal } = context;
  const deadline = clock.monotonicMs() + RETURNS_WITHIN_MS;
  while (clock.monotonicMs() < deadline) {
    const daemon = await findDaemon(context, clock);
    if (daemon !== null) return daemon;
    if ((await readDaemonNote(home)) === null && (await startingMonitor(home)) === null) return null;
    await clock.sleep(BETWEEN_LOOKS_MS, signal);
  }
  return null;
}

async function startingMonitor(home: string): Promise<{ pid: number } | null> {
  const { readLockHolder } = await import("../../runtime/process/home-lock.ts");
  const holder = await readLockHolder(home);
  return holder !== null && holder.command === "monitor" ? holder : null;
}

async function inProcess<T>(
  context: CommandContext,
  ask: Ask,
  use: (control: RemoteControl) => Promise<T>,
): Promise<Alone<T>> {
  const { openEngine } = await import("../in-process/open.ts");
  const { home, configPath, signal } = context;
  return onceOpened(openEngine({ home, configPath, signal, ...ask }), use);
}

/** Uses what is being opened and ends it, whatever `use` does with it. */
export async function onceOpened<Resource extends AsyncDisposable, T>(
  opening: Promise<Resource>,
  use: (resource: Resource) => Promise<T>,
): Promise<Alone<T>> {
  let resource: Resource;
  try {
    resource = await opening;
  } catch (error) {
    // A monitor that took the lock between the look and the try.
    if (error instanceof MountaineerError && error.code === "already_running") {
      return { kind: "monitor_came_first", error };
    }
    throw error;
  }
  try {
    return { kind: "done", value: await use(resource) };
  } finally {
    await resource[Symbol.asyncDispose]();
  }
}
