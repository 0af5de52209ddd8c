// Checks the daemon: whether it runs and answers, what a dead daemon left behind, and whether a second one runs.
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { connectToDaemon, type DaemonClient } from "../api/client/client.ts";
import type { StatusReport } from "../api/contract/contract.ts";
import type { DoctorFinding } from "../api/doctor-report.ts";
import { readDaemonInfo } from "../api/socket/daemon-info.ts";
import { defaultSocketPath } from "../api/socket/private-socket.ts";
import { listMonitors } from "../daemon/compose/monitor-processes.ts";
import type { MonitorProcess } from "../daemon/compose/process-arguments.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { readIfPresent } from "../runtime/files/durable-file.ts";
import { type LockOwner, readLockOwner } from "../runtime/process/home-lock.ts";
import { isOwnSocket } from "../runtime/process/private-socket.ts";
import { jsonObject } from "../runtime/text/json-object.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { packageVersion } from "../runtime/version.ts";
import { type DoctorContext, findingsOf } from "./context.ts";

const STATUS_DEADLINE_MS = 4_000;
/** A daemon that has been starting for longer than this counts as hung, ms. */
const STARTING_MS = 15_000;

const finding = findingsOf("daemon");

/**
 * Connects to the home's daemon; null if none answers. `findings`: problems with the socket that forbid to
 * open it.
 */
export async function findDaemon(
  home: string,
): Promise<{ readonly daemon: DaemonClient | null; readonly findings: readonly DoctorFinding[] }> {
  try {
    return { daemon: await connectToDaemon(home), findings: [] };
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    const { message, hint } = error;
    return { daemon: null, findings: [finding("error", "socket_denied", message, { hint })] };
  }
}

export async function examineDaemon(context: DoctorContext): Promise<DoctorFinding[]> {
  const { home, daemon, signal } = context;
  const holder = await readLockOwner(home).catch(() => null);
  if (daemon === null) {
    return [...(await withoutDaemon(home, holder)), ...(await otherMonitors(context, holder?.pid ?? null))];
  }
  let status: StatusReport;
  const late = AbortSignal.timeout(STATUS_DEADLINE_MS);
  try {
    status = await daemon.call("status", null, AbortSignal.any([signal, late]));
  } catch (error) {
    const pid = daemon.pid ?? holder?.pid ?? null;
    const why = late.aborted ? `it said nothing for ${STATUS_DEADLINE_MS / 1000} s` : errorText(error);
    return [silent(pid, `it does not answer: ${why}`)];
  }
  const { pid, version, config_path } = status.global;
  const found = [finding("ok", "daemon", `it runs (pid ${pid}, version ${version})`)];
  if (version !== packageVersion()) {
    const text = `it is version ${version}, and this is ${packageVersion()}`;
    found.push(
      finding("warning", "version_differs", text, { hint: "mountaineer restart runs the installed version" }),
    );
  }
  if (context.snapshot !== null && context.snapshot.path !== config_path) {
    const text = `it runs with ${config_path}, not with ${context.snapshot.path}`;
    found.push(finding("warning", "other_config", text, { hint: "leave out --config, or restart it" }));
  }
  return [...found, ...(await otherMonitors(context, pid))];
}

function silent(pid: number | null, why: string): DoctorFinding {
  return finding(
    "error",
    "daemon_silent",
    `the daemon${pid === null ? "" : ` (pid ${pid})`} holds this home, and ${why}`,
    {
      hint: pid === null ? "restart it" : `see what it does, or end it: kill ${pid}, at last kill -9 ${pid}`,
    },
  );
}

async function withoutDaemon(home: string, holder: LockOwner | null): Promise<DoctorFinding[]> {
  if (holder !== null && holder.command === "monitor") {
    const sinceMs = systemClock.wallMs() - Date.parse(holder.since);
    if (sinceMs > STARTING_MS) return [silent(holder.pid, "nothing listens on its socket")];
    return [finding("info", "daemon_starting", `it is just starting (pid ${holder.pid})`)];
  }
  const found: DoctorFinding[] = [];
  if (holder !== null) {
    const text = `mountaineer ${holder.command} (pid ${holder.pid}) is changing this home since ${holder.since}`;
    found.push(finding("info", "lock_held", text));
  }
  const stale = holder === null ? await staleOwner(home) : null;
  if (stale !== null) {
    const text = `lock.json names ${stale}, which has ended: a stale lock, left by a daemon that was killed`;
    const hint = "you need to do nothing: the system has freed the lock, and the next start takes it";
    found.push(finding("warning", "stale_lock", text, { hint }));
  }
  const info = await readDaemonInfo(home).catch(() => null);
  for (const path of new Set([...(info === null ? [] : [info.socket]), defaultSocketPath(home)])) {
    if (!(await isOwnSocket({ path, home }))) continue;
    const text = `no daemon listens at ${path}: a stale socket, left by a daemon that was killed`;
    const hint = "no action needed: the next start replaces it";
    found.push(finding("warning", "stale_socket", text, { hint }));
  }
  found.push(
    finding("info", "daemon_off", "no daemon runs for this home", {
      hint: "mountaineer up starts one",
    }),
  );
  return found;
}

/** The process that left `lock.json` behind when it ended; null: there is no such file. */
async function staleOwner(home: string): Promise<string | null> {
  const text = await readIfPresent(join(home, "lock.json")).catch(() => null);
  if (text === null) return null;
  const { pid } = jsonObject(text) ?? {};
  // A file that was not written to its end has no pid.
  return typeof pid === "number" ? `pid ${pid}` : "nobody";
}

/** Findings about other daemons of this user. Shares that another one has claimed are findings of `verify`. */
async function otherMonitors(context: DoctorContext, own: number | null): Promise<DoctorFinding[]> {
  const found: DoctorFinding[] = [];
  const home = await real(context.home);
  const monitors = await listMonitors();
  const predecessors = predecessorsOf(monitors, own);
  for (const monitor of monitors) {
    if (monitor.pid === own) continue;
    const theirs = monitor.home === null ? null : await real(monitor.home);
    if (theirs === home && predecessors.has(monitor.pid)) {
      const text = `the daemon before it (pid ${monitor.pid}) finishes its calls, then exits`;
      found.push(finding("info", "daemon_before", text));
    } else if (theirs === home) {
      const text = `a second daemon for this home is being run (pid ${monitor.pid}); only one can hold it`;
      found.push(finding("error", "second_daemon", text, { hint: `end one of them: kill ${monitor.pid}` }));
    } else {
      const text = `another daemon runs for ${monitor.home ?? "another home"} (pid ${monitor.pid})`;
      found.push(finding("info", "other_daemon", text));
    }
  }
  return found;
}

/**
 * The pids of daemons that are handing over. At a handover the old daemon starts the new one, and stays as
 * its parent until its own calls have ended.
 */
function predecessorsOf(monitors: readonly MonitorProcess[], own: number | null): ReadonlySet<number> {
  const before = new Set<number>();
  let pid = own;
  while (pid !== null) {
    const parent: number | null = monitors.find((one) => one.pid === pid)?.parent ?? null;
    pid = parent === null || before.has(parent) ? null : parent;
    if (pid !== null) before.add(pid);
  }
  return before;
}

async function real(path: string): Promise<string> {
  return realpath(path).catch(() => path);
}
