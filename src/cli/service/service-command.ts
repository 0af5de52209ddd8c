// `up`, `down` and `uninstall`: the daemon as a service, or detached where no service manager answers.

import { connectToDaemon, type DaemonClient } from "../../api/client/client.ts";
import { startDaemon } from "../../api/client/start-daemon.ts";
import type { StatusReport } from "../../api/contract/contract.ts";
import { renderStatus } from "../../api/views/status-view.ts";
import { errorText, MountaineerError, recoverFrom, systemErrorCode } from "../../runtime/errors.ts";
import { ensurePrivateFolder } from "../../runtime/files/durable-file.ts";
import { type LockOwner, readLockOwner } from "../../runtime/process/home-lock.ts";
import { pluralize, printable } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { requireValidConfig } from "../edits/config-check.ts";
import { loadBackupRecords } from "../in-process/open.ts";
import type { CommandContext, Signals, Target, Terminal } from "../input/command.ts";
import { isYes } from "../input/confirm.ts";
import { supervisorPath } from "../input/launcher-path.ts";
import { doneLine, showJson, showText } from "../input/options.ts";
import { proxiesWithLogin } from "../input/shell-proxies.ts";
import { show } from "../sessions/control-session.ts";
import { pollUntil } from "../sessions/poll-until.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { type ServiceDefinition, serviceDefinition, servicePath } from "./service-definition.ts";
import { createServiceManager } from "./service-manager.ts";
import type { ServiceManager, ServiceOutcome } from "./service-outcome.ts";

/**
 * How long to wait for a started daemon, ms: it serves within 2 s, but a service manager waits 5 s before a
 * retry.
 */
const ANSWERS_WITHIN_MS = 20_000;
/** How long `up` waits for mounts and servers before it shows the status, ms. */
const SETTLES_WITHIN_MS = 10_000;
/**
 * How long to wait for a daemon's end, ms: after a single SIGTERM, a daemon first finishes its current step.
 */
const ENDS_WITHIN_MS = 20_000;

function managerOf(context: Target): { definition: ServiceDefinition; manager: ServiceManager } {
  const environment = process.env;
  const definition = serviceDefinition(context, environment);
  return { definition, manager: createServiceManager({ definition, clock: systemClock, environment }) };
}

export function printService(context: Terminal & Target): number {
  context.print(managerOf(context).manager.text);
  return 0;
}

/** Resolves with the exit code. */
export async function bringUp(context: CommandContext): Promise<number> {
  const { definition, manager } = managerOf(context);
  // The service itself does not make it.
  await ensurePrivateFolder(context.home);
  const why = await manager.missing(context.signal);
  const found = await monitorOf(context);
  if (found === null) await requireValidConfig(context);
  await confirmIfMoved(context);
  const outcome =
    why === null
      ? await startService(context, manager, found)
      : await startDetached(context, definition, why, found);
  const { home, signal } = context;
  const limits = { withinMs: ANSWERS_WITHIN_MS, signal };
  const answering = async (): Promise<DaemonClient | null> => {
    const daemon = await connectToDaemon(home).catch(recoverFrom("daemon_unreachable", null));
    // A hanging daemon also accepts connections, so only an answer proves that it works.
    const status = await daemon?.call("status", null, signal).catch(recoverFrom("daemon_unreachable", null));
    return status == null ? null : daemon;
  };
  const daemon =
    outcome.failure === null ? await pollUntil(limits, answering, (client) => client !== null) : null;
  const silence =
    found === null
      ? "it was started, and does not answer yet"
      : `it runs (pid ${found.pid}), and does not answer: mountaineer doctor says why`;
  const gateway = daemon === null ? null : await listeningGateway(daemon, signal);
  const failure = outcome.failure ?? (daemon === null ? silence : (gateway?.failure ?? null));
  const pid = daemon === null ? null : ((await monitorOf(context))?.pid ?? null);
  const installed =
    why === null ? { manager: manager.kind, path: manager.filePath } : { manager: null, path: null };
  if (context.json) {
    const listens = gateway?.failure == null ? "listening" : "not_listening";
    showJson(context, { ...installed, ...outcome, failure, pid, gateway: gateway === null ? null : listens });
    return failure === null ? 0 : FAILED_EXIT;
  }
  const lines = [
    ...(installed.path !== null && outcome.changed ? [`${printable(installed.path)} is written`] : []),
    `Mountaineer ${found === null || pid !== found.pid ? "runs" : "runs already"} (pid ${pid})`,
  ];
  showOutcome(context, lines, { ...outcome, failure });
  if (daemon === null) return FAILED_EXIT;
  const report = await readyStatus(daemon, signal);
  context.print(`\n${renderStatus(report, { ...context.stdoutStyle, now: Date.now() })}\n`);
  context.print(nextLines(report));
  return failure === null ? 0 : FAILED_EXIT;
}

/** A home that was moved with a backup starts only if a person says so. Rejects with `home_moved`. */
async function confirmIfMoved(context: CommandContext): Promise<void> {
  const { requireNotMoved, forgetMove } = await loadBackupRecords();
  await requireNotMoved(context.home).catch(async (error: unknown) => {
    if (!(error instanceof MountaineerError) || context.prompt === null) throw error;
    context.notify(error.message);
    if (!(await isYes(context.prompt, "Start it although it may run elsewhere?", "no"))) throw error;
    await forgetMove(context.home);
  });
}

/**
 * Waits until the gateway listens or cannot. Resolves with null if none is configured; `failure`: why it does not listen,
 * null if it does, or was still starting after 10 s.
 */
async function listeningGateway(
  { call }: DaemonClient,
  signal: AbortSignal,
): Promise<{ readonly failure: string | null } | null> {
  const read = async () => (await call("status", null, signal)).gateway;
  const refusal = (gateway: StatusReport["gateway"]) =>
    gateway?.conditions.find(({ code }) => code === "listen_failed")?.title ?? null;
  const isKnown = (gateway: StatusReport["gateway"]) =>
    gateway === undefined || gateway.url !== null || refusal(gateway) !== null;
  const gateway = await pollUntil({ withinMs: SETTLES_WITHIN_MS, signal }, read, isKnown);
  return gateway === undefined ? null : { failure: refusal(gateway) };
}

/**
 * Starts the service. If a `monitor` in a terminal holds the home, the service retries until that process has
 * ended.
 */
async function startService(
  { signal }: Signals,
  manager: ServiceManager,
  found: LockOwner | null,
): Promise<ServiceOutcome> {
  const started = await manager.start(signal);
  const secret = proxiesWithLogin(process.env).map(
    (name) =>
      `the service does not get ${name}, whose password everybody could read in its file: docs/use/install.md says how to give it`,
  );
  const left = servicePath(process.env["PATH"] ?? "", process.env).left.map(
    (folder) =>
      `the service does not get ${folder}, which is gone after this shell: install what it needs of it for good`,
  );
  const outcome = { ...started, notes: [...secret, ...left, ...started.notes] };
  if (found === null || !outcome.changed || outcome.failure !== null) return outcome;
  const remark = `a monitor already ran for this home (pid ${found.pid}): unless it is a service, this one takes over when it exits`;
  return { ...outcome, notes: [remark, ...outcome.notes] };
}

/** Starts the daemon detached, under the same shell script as a service, so that it can hand over. */
async function startDetached(
  { home, signal }: Target & Signals,
  { program, args }: ServiceDefinition,
  why: string,
  found: LockOwner | null,
): Promise<ServiceOutcome> {
  const notes = [`${why}: it runs until this machine stops; then run mountaineer up again`];
  if (found !== null) return { changed: false, running: true, notes, failure: null };
  const command = ["/bin/sh", supervisorPath(program), program, ...args];
  const environment = { ...process.env, MOUNTAINEER_HOME: home };
  try {
    await startDaemon({ home, command, environment, clock: systemClock, signal });
  } catch (error) {
    if (!(error instanceof MountaineerError) || error.code !== "program_unavailable") throw error;
    const failure = error.hint === null ? error.message : `${error.message}; ${error.hint}`;
    return { changed: true, running: false, notes: [], failure };
  }
  return { changed: true, running: true, notes, failure: null };
}

/**
 * Resolves with the status as soon as no mount and no server is still starting; after 10 s, with the status at that
 * time.
 */
function readyStatus({ call }: DaemonClient, signal: AbortSignal): Promise<StatusReport> {
  const limits = { withinMs: SETTLES_WITHIN_MS, signal };
  return pollUntil(
    limits,
    () => call("status", null, signal),
    ({ shares, backends = [] }) => {
      const isMounting = shares.some(
        (share) => share.mount_state === "unmounted" && share.override === null && !hasTrouble(share),
      );
      const isStarting = backends.some(
        ({ enabled, phase }) => enabled && (phase === "Pending" || phase === "Initializing"),
      );
      return !isMounting && !isStarting;
    },
  );
}

function hasTrouble({ last_error: error, conditions }: StatusReport["shares"][number]): boolean {
  return error !== null || conditions.some(({ severity }) => severity !== "info");
}

function nextLines({ shares, backends = [] }: StatusReport): string {
  const lines = [
    ...(backends.length > 0 ? ["mountaineer connect NAME has an agent use these servers"] : []),
    ...(shares.length + backends.length > 0 ? ["mountaineer open shows all of it in the browser"] : []),
    "mountaineer down stops it, and leaves what is mounted",
  ];
  return lines.map((line, index) => `${index === 0 ? "next: " : "      "}${line}\n`).join("");
}

/** Ends the daemon, however it was started. */
export async function stopDaemon(context: Target & Signals) {
  const { manager } = managerOf(context);
  const found = await monitorOf(context);
  const outcome = await manager.stop(context.signal);
  return { manager, found, outcome, failure: outcome.failure ?? (await endMonitors(context)) };
}

/** Resolves with the exit code. */
export async function takeDown(context: CommandContext): Promise<number> {
  const { manager, found, outcome, failure } = await stopDaemon(context);
  const changed = outcome.changed || found !== null;
  const mounted = changed && failure === null ? await mountedShares(context) : [];
  const count = `${pluralize(mounted.length, "share")} ${mounted.length === 1 ? "stays" : "stay"}`;
  const stays = mounted.length === 0 ? [] : [`${count} mounted: ${mounted.join(", ")}`];
  const again = "mountaineer up starts it again";
  const notes = [
    ...(mounted.length === 0 ? [] : ["mountaineer unmount takes mounts away"]),
    outcome.changed
      ? `${again}, and so does your next login; mountaineer uninstall removes the service`
      : again,
  ];
  const done = { ...outcome, changed, notes: changed && failure === null ? notes : [], failure };
  if (context.json) showJson(context, { manager: outcome.changed ? manager.kind : null, mounted, ...done });
  else
    showOutcome(
      context,
      [changed ? "Mountaineer is stopped" : "no daemon ran for this home", ...stays],
      done,
    );
  return failure === null ? 0 : FAILED_EXIT;
}

/** The paths of mounted shares, read by this process after the daemon ended. */
async function mountedShares(context: Target & Signals): Promise<readonly string[]> {
  try {
    const { shares } = await show(context, "status", null);
    const mounted = shares.filter(({ mount_state: state }) => state === "mounted");
    return mounted.map(({ stable_path: path }) => printable(path));
  } catch (error) {
    context.signal.throwIfAborted();
    // A configuration with errors must not make `down` fail.
    if (!(error instanceof MountaineerError)) throw error;
    return [];
  }
}

/**
 * Ends the daemon of this home, and any daemon that starts during the call. Resolves with the reason if a daemon still
 * runs; null if none does.
 */
async function endMonitors(context: Target & Signals): Promise<string | null> {
  let signalled: number | null = null;
  let failure: string | null = null;
  const poll = async (): Promise<LockOwner | null> => {
    const holder = await monitorOf(context);
    if (holder === null || holder.pid === signalled) return holder;
    signalled = holder.pid;
    try {
      process.kill(holder.pid, "SIGTERM");
    } catch (error) {
      if (systemErrorCode(error) !== "ESRCH")
        failure = `the daemon (pid ${holder.pid}) cannot be stopped: ${errorText(error)}`;
    }
    return holder;
  };
  const limits = { withinMs: ENDS_WITHIN_MS, signal: context.signal };
  const holder = await pollUntil(limits, poll, (found) => found === null || failure !== null);
  if (holder === null || failure !== null) return failure;
  return `the daemon (pid ${holder.pid}) has not ended after ${ENDS_WITHIN_MS / 1000} s; at last: kill -9 ${holder.pid}`;
}

async function monitorOf({ home }: Target): Promise<LockOwner | null> {
  const holder = await readLockOwner(home).catch(() => null);
  return holder?.command === "monitor" ? holder : null;
}

/** Resolves with the exit code. `unmounted`: all shares are unmounted, so nothing is printed about mounts. */
export async function uninstallService(context: CommandContext, unmounted = false): Promise<number> {
  const { manager } = managerOf(context);
  const found = await monitorOf(context);
  const outcome = await manager.uninstall(context.signal);
  const failure = outcome.failure ?? (await endMonitors(context));
  const done = { ...outcome, failure };
  if (context.json) showJson(context, { manager: manager.kind, path: manager.filePath, ...done });
  else {
    const gone = `${printable(manager.filePath)} ${outcome.changed ? "is removed" : "was not there"}`;
    const stopped = found === null ? [] : ["Mountaineer is stopped"];
    const stays = !unmounted && (outcome.changed || found !== null) ? ["shares stay mounted"] : [];
    showOutcome(context, [gone, ...stopped, ...stays], done);
  }
  return failure === null ? 0 : FAILED_EXIT;
}

/** Prints `lines`, or the failure if there is one; then the notes. */
function showOutcome(context: Terminal, lines: readonly string[], { failure, notes }: ServiceOutcome): void {
  showText(context, (paint) =>
    failure === null
      ? lines.map((line) => doneLine(paint, line))
      : [`${paint.red(paint.symbols.bad)} ${printable(failure)}`],
  );
  for (const line of notes) context.notify(printable(line));
}
