// Finds who answers a command: the running daemon, one that is just starting, or the engine in this process.
import { connectToDaemon, type DaemonClient } from "../../api/client/client.ts";
import type { EngineOperation, InProcess, InProcessOptions } from "../../api/in-process.ts";
import type { Ask, InputOf, OperationName, OutputOf } from "../../api/operations.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import { openEngine } from "../in-process/open.ts";
import type { CommandContext } from "../input/command.ts";

/** How long a changing command waits for the socket of a daemon that holds the lock already. */
const STARTING_DEADLINE_MS = 10_000;
const BETWEEN_LOOKS_MS = 50;
/** A service manager pauses for 5 s before it starts one that was killed. */
const RETURNS_WITHIN_MS = 10_000;

/** What a command is about to do. */
export interface Purpose {
  /** "look" takes no lock and changes nothing; "change" waits its turn. */
  readonly intent: "look" | "change";
  /** The command's name, for whoever waits for its lock. */
  readonly command: string;
}

/**
 * Runs `use` with what asks the daemon of this home, or what `open` opens in this process. Rejects with what `use` rejects
 * with, `daemon_unreachable` when a daemon has the lock and never serves, `usage` when it runs with another configuration
 * than `--config` names, and what `open` rejects with.
 */
export function withAsk<Names extends OperationName, T>(
  context: CommandContext,
  purpose: Purpose,
  open: (options: InProcessOptions) => Promise<InProcess<Names>>,
  use: (ask: Ask<Names>) => Promise<T>,
  clock: Clock = systemClock,
): Promise<T> {
  const { home, configPath, signal } = context;
  const alone = (): Promise<Alone<T>> =>
    onceOpened(open({ home, configPath, signal, ...purpose }), (own) => use(own.ask));
  return withDaemonOr(context, purpose.intent, ({ ask }) => use(ask), alone, clock);
}

/** The same for one question about shares and places in them. */
export function askEngine<Name extends EngineOperation>(
  context: CommandContext,
  purpose: Purpose,
  name: Name,
  input: InputOf<Name>,
): Promise<OutputOf<Name>> {
  return withAsk(context, purpose, openEngine, (ask) => ask(name, input, context.signal));
}

/** For commands that only a daemon can answer. */
export interface DaemonPurpose extends Pick<Purpose, "intent"> {
  /** What is missing without a daemon, for the message. */
  readonly so: string;
  /** Default: how to start one. */
  readonly hint?: string;
}

/** Asks the daemon of this home. Rejects with `daemon_unreachable` when there is none. */
export function askDaemon<Name extends OperationName>(
  context: CommandContext,
  purpose: DaemonPurpose,
  name: Name,
  input: InputOf<Name>,
): Promise<OutputOf<Name>> {
  return withDaemon(context, purpose, ({ ask }) => ask(name, input, context.signal));
}

/** The same, for whatever `use` does with it. */
export function withDaemon<T>(
  context: CommandContext,
  { intent, so, hint = "mountaineer up starts one" }: DaemonPurpose,
  use: (daemon: DaemonClient) => Promise<T>,
): Promise<T> {
  const message = `no daemon runs for this home, ${so}`;
  const none = () => Promise.reject(new MountaineerError("daemon_unreachable", message, { hint }));
  return withDaemonOr(context, intent, use, none);
}

/** Work without a daemon, unless a monitor took the lock first, which is then asked instead. */
type Alone<T> = { kind: "done"; value: T } | { kind: "monitor_came_first"; error: MountaineerError };

/**
 * Runs `withDaemon` with the daemon of this home, else `alone`; the latter is tried again when a monitor came first.
 * Rejects with what they reject with, and as `withAsk` does.
 */
export async function withDaemonOr<T>(
  context: CommandContext,
  intent: Purpose["intent"],
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
    await requireSameConfig((await daemon.ask("status", null, signal)).global.config_path, configPath);
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

/** Uses what is being opened and ends it, whatever `use` does with it. */
export async function onceOpened<Resource extends AsyncDisposable, T>(
  opening: Promise<Resource>,
  use: (resource: Resource) => Promise<T>,
): Promise<Alone<T>> {
  let resource: Resource;
  try {
    resource = await opening;
  } catch (error) {
    // A monitor has taken the lock between the look and the try.
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
