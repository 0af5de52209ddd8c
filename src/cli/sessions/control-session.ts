// Connects a command to the running or starting daemon, or else to what this process opens.
import type { DaemonClient } from "../../api/client/client.ts";
import type { WithoutDaemonOperation, WithoutDaemonOptions } from "../../api/in-process.ts";
import type { CallOperation, InputOf, OperationName, OutputOf } from "../../api/operations/operations.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import { openWithoutDaemon } from "../in-process/open.ts";
import type { Signals, Target } from "../input/command.ts";

/**
 * A daemon that is starting holds the lock before it has a socket. A command that changes something waits
 * this long for the socket, ms.
 */
const STARTING_DEADLINE_MS = 10_000;
const BETWEEN_POLLS_MS = 50;
/**
 * How long to wait for a daemon that a service manager restarts after a crash, ms. Service managers wait 5 s
 * before a restart.
 */
const RETURNS_WITHIN_MS = 10_000;

type Intent = WithoutDaemonOptions["intent"];

/** Shows: asks the daemon of this home, or without one looks in this process. Takes no lock, and changes nothing. */
export function show<Name extends WithoutDaemonOperation>(
  context: Target & Signals,
  name: Name,
  input: InputOf<Name>,
): Promise<OutputOf<Name>> {
  return withOperations(context, "look", (call) => call(name, input, context.signal));
}

/** Changes one thing: asks the daemon of this home, or without one holds the home's lock and does it in this process. */
export function change<Name extends WithoutDaemonOperation>(
  context: Target & Signals,
  name: Name,
  input: InputOf<Name>,
): Promise<OutputOf<Name>> {
  return withOperations(context, "change", (call) => call(name, input, context.signal));
}

/**
 * Runs `use` with the daemon of this home, else with what this process opens for it. Rejects as `use` and `openWithoutDaemon` do; with
 * `daemon_unreachable` if a daemon holds the lock and never serves, and with `usage` if the daemon runs with another
 * configuration than `--config` names.
 */
export function withOperations<T>(
  context: Target & Signals,
  intent: Intent,
  use: (call: CallOperation<WithoutDaemonOperation>) => Promise<T>,
  clock: Clock = systemClock,
): Promise<T> {
  const openOwn = () => onceOpened(openWithoutDaemon({ ...context, intent }), (own) => use(own.call));
  return withDaemonOr(context, intent, ({ call }) => use(call), openOwn, clock);
}

/** How a command uses the daemon, and the command's error if no daemon runs. */
export interface DaemonPurpose {
  readonly intent: Intent;
  /** The last words of the error message, for example "so no MCP server does either". */
  readonly so: string;
  /** Default: how to start a daemon. */
  readonly hint?: string;
}

/** Requests one operation from the daemon of this home. Rejects with `daemon_unreachable` if none runs. */
export function callDaemon<Name extends OperationName>(
  context: Target & Signals,
  purpose: DaemonPurpose,
  name: Name,
  input: InputOf<Name>,
): Promise<OutputOf<Name>> {
  return withDaemon(context, purpose, ({ call }) => call(name, input, context.signal));
}

/** Runs `use` with the daemon of this home. Rejects with `daemon_unreachable` if none runs, and as `use` does. */
export function withDaemon<T>(
  context: Target & Signals,
  { intent, so, hint = "mountaineer up starts one" }: DaemonPurpose,
  use: (daemon: DaemonClient) => Promise<T>,
): Promise<T> {
  const message = `no daemon runs for this home, ${so}`;
  const none = () => Promise.reject(new MountaineerError("daemon_unreachable", message, { hint }));
  return withDaemonOr(context, intent, use, none);
}

/** `monitor_came_first`: a daemon took the lock, so the caller asks that daemon. */
type OwnResult<T> = { kind: "done"; value: T } | { kind: "monitor_came_first"; error: MountaineerError };

/**
 * Runs `withDaemon` with the daemon of this home; without a daemon, runs `openOwn`. If a daemon takes the lock before
 * `openOwn` can, retries for up to 10 s. Rejects as both functions and `withOperations` do.
 */
export async function withDaemonOr<T>(
  context: Target & Signals,
  intent: Intent,
  withDaemon: (daemon: DaemonClient) => Promise<T>,
  openOwn: () => Promise<OwnResult<T>>,
  clock: Clock = systemClock,
): Promise<T> {
  const deadline = clock.monotonicMs() + STARTING_DEADLINE_MS;
  for (;;) {
    const daemon = await findDaemon(context, clock);
    if (daemon !== null) return withDaemon(daemon);
    const monitor = intent === "look" ? null : await startingMonitor(context.home);
    if (monitor === null) {
      const outcome = await openOwn();
      if (outcome.kind === "done") return outcome.value;
      if (clock.monotonicMs() >= deadline) throw outcome.error;
    } else if (clock.monotonicMs() >= deadline) {
      const message = `mountaineer monitor (pid ${monitor.pid}) holds this home, and does not serve`;
      throw new MountaineerError("daemon_unreachable", message, {
        hint: `check its output; it can be ended with: kill ${monitor.pid}`,
        retry: "later",
      });
    }
    await clock.sleep(BETWEEN_POLLS_MS, context.signal);
  }
}

/**
 * The daemon of this home, null if none runs; with `--url` that of the other machine. Rejects with `usage` if the
 * daemon runs with another configuration than `--config` names, and as `connectToEndpoint` does.
 */
export async function findDaemon(
  { home, configPath, remote, signal }: Target & Signals,
  clock: Clock = systemClock,
): Promise<DaemonClient | null> {
  // Loaded late: the code that defines the commands imports this file, and `--help` needs no client.
  const { connectToDaemon, connectToEndpoint } = await import("../../api/client/client.ts");
  if (remote !== null) return connectToEndpoint(remote, signal, { clock });
  const daemon = await connectToDaemon(home, { clock });
  if (daemon !== null && configPath !== null) {
    const { requireSameConfig } = await import("../../api/client/same-config.ts");
    await requireSameConfig((await daemon.call("status", null, signal)).global.config_path, configPath);
  }
  return daemon;
}

/** Waits up to 10 s for a daemon that is starting, or that a service manager restarts after a crash; null if none comes. */
export async function returningDaemon(
  context: Target & Signals,
  clock: Clock = systemClock,
): Promise<DaemonClient | null> {
  const { readDaemonInfo } = await import("../../api/socket/daemon-info.ts");
  const { home, signal } = context;
  const deadline = clock.monotonicMs() + RETURNS_WITHIN_MS;
  while (clock.monotonicMs() < deadline) {
    const daemon = await findDaemon(context, clock);
    if (daemon !== null) return daemon;
    if ((await readDaemonInfo(home)) === null && (await startingMonitor(home)) === null) return null;
    await clock.sleep(BETWEEN_POLLS_MS, signal);
  }
  return null;
}

async function startingMonitor(home: string): Promise<{ pid: number } | null> {
  const { readLockOwner } = await import("../../runtime/process/home-lock.ts");
  const holder = await readLockOwner(home);
  return holder !== null && holder.command === "monitor" ? holder : null;
}

/** Runs `use` with the opened resource, and disposes the resource afterwards. */
export async function onceOpened<Resource extends AsyncDisposable, T>(
  opening: Promise<Resource>,
  use: (resource: Resource) => Promise<T>,
): Promise<OwnResult<T>> {
  let resource: Resource;
  try {
    resource = await opening;
  } catch (error) {
    // A daemon took the lock after `findDaemon` had found none.
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
