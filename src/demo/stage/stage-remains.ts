// Finds and clears everything that a demo started or mounted; used by the demo and by its warden.
import { readdir, readFile, rm, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { readDaemonInfo } from "../../api/socket/daemon-info.ts";
import { errorText, isOwnError, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import {
  endProcess,
  isRunning,
  type ProcessIdentity,
  processIdentity,
} from "../../runtime/process/process-identity.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { serverTemporaryFolder, temporaryFolder } from "./stage-layout.ts";

export interface StageMarks {
  /** The demo's own folder, absolute, without symlinks inside. */
  readonly folder: string;
  /** Mountaineer's home, inside `folder`. */
  readonly home: string;
  /** The demo's own children. Their descendants are found by their environment, where /proc shows it. */
  readonly started: readonly ProcessIdentity[];
}

const CLEAR_WITHIN_MS = 20_000;
const BETWEEN_ROUNDS_MS = 20;
const PROCESS_ENDS_WITHIN_MS = 1_500;
const UNMOUNT_WITHIN_MS = 10_000;

type Remains = Awaited<ReturnType<typeof findRemains>>;

interface FoundProcess {
  readonly identity: ProcessIdentity;
  readonly command: string;
  /** A process of the SMB server, which keeps running while the stage is open. */
  readonly ofServer: boolean;
}

export async function findRemains(marks: StageMarks) {
  const [processes, mounts] = await Promise.all([findProcesses(marks), findMounts(marks.folder)]);
  return { processes, mounts };
}

export function describeRemains({ processes, mounts }: Remains): string[] {
  return [
    ...processes.map(({ identity, command }) => `process ${identity.pid} (${command}) still runs`),
    ...mounts.map((path) => `${path} is still mounted`),
  ];
}

/**
 * Kills every process of the demo, unmounts all mounts in its folder, and removes the folder. Rejects with `timed_out`
 * when a process or mount remains; the folder then also remains, because deleting through a mount would delete the
 * share's files.
 */
export async function clearRemains(marks: StageMarks): Promise<void> {
  const socket = (await readDaemonInfo(marks.home))?.socket ?? null;
  const untilMs = systemClock.monotonicMs() + CLEAR_WITHIN_MS;
  for (;;) {
    const { processes } = await findRemains(marks);
    // Unmounts after the processes have ended, so that no unmount waits for the process that serves the
    // mount.
    await Promise.all(processes.map(({ identity }) => end(identity)));
    for (const path of (await findMounts(marks.folder)).toReversed()) await unmount(path);
    const remains = describeRemains(await findRemains(marks));
    if (remains.length === 0) break;
    if (systemClock.monotonicMs() > untilMs) {
      throw new MountaineerError("timed_out", `the demo left something behind: ${remains.join("; ")}`, {
        hint: `end it, then remove ${marks.folder}`,
      });
    }
    await systemClock.sleep(BETWEEN_ROUNDS_MS);
  }
  if (socket !== null && !socket.startsWith(`${marks.folder}/`)) await removeSocket(socket);
  await rm(marks.folder, { recursive: true, force: true, maxRetries: 3 });
}

async function findProcesses({ folder, started }: StageMarks): Promise<FoundProcess[]> {
  const own: FoundProcess[] = [];
  for (const identity of started) {
    if (await isRunning(identity))
      own.push({ identity, command: await commandOf(identity.pid), ofServer: false });
  }
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number);
  const others = pids.filter((pid) => pid !== process.pid && !started.some((known) => known.pid === pid));
  const marked = await Promise.all(others.map((pid) => ifMarked(pid, folder)));
  return [...own, ...marked.filter((found) => found !== null)];
}

/**
 * Resolves with the process if its TMPDIR is in the demo's folder, else with null. Every process of the demo has such
 * a TMPDIR.
 */
async function ifMarked(pid: number, folder: string): Promise<FoundProcess | null> {
  const identity = await processIdentity(pid);
  const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
  const variables = environment.split("\0");
  const ofServer = variables.includes(`TMPDIR=${serverTemporaryFolder(folder)}`);
  if (identity === null || !(ofServer || variables.includes(`TMPDIR=${temporaryFolder(folder)}`)))
    return null;
  return { identity, command: await commandOf(pid), ofServer };
}

async function commandOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")).trim() || "a child of the demo";
}

async function end(identity: ProcessIdentity): Promise<void> {
  // A process of another user cannot be ended; the report of what remains lists it.
  await endProcess(identity, { clock: systemClock, graceMs: 0, deadlineMs: PROCESS_ENDS_WITHIN_MS }).catch(
    recoverFrom(isOwnError),
  );
}

/** Mount points below the folder, outermost first. Read from the mount table, so that no mount is accessed. */
async function findMounts(folder: string): Promise<string[]> {
  return (await mountTable()).map(({ path }) => path).filter((path) => path.startsWith(`${folder}/`));
}

/** The mounts of this machine; empty on systems without /proc, where the demo mounts nothing. */
export async function mountTable(): Promise<readonly { readonly id: string; readonly path: string }[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  return table.split("\n").flatMap((line) => {
    const [id, , , , path] = line.split(" ");
    return id === undefined || path === undefined ? [] : [{ id, path: unescaped(path) }];
  });
}

/** Decodes octal escapes such as `\040` in a field of the mount table. */
function unescaped(field: string): string {
  return field.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

async function unmount(path: string): Promise<void> {
  try {
    await runCommand("fusermount3", ["-u", "-z", path], { deadlineMs: UNMOUNT_WITHIN_MS });
  } catch (error) {
    throw new MountaineerError("unmount_failed", `${path} stays mounted: ${errorText(error)}`, {
      cause: error,
    });
  }
}

/**
 * Removes a socket that is outside the home, and the socket's folder. The daemon makes such a socket if the home's
 * path is too long.
 */
async function removeSocket(socket: string): Promise<void> {
  await rm(socket, { force: true });
  await rmdir(dirname(socket)).catch(() => {});
}
