// The processes that serve mounts, one for each mount: started by this daemon, by an earlier one, or by someone else.
import { readFile, rm } from "node:fs/promises";
import { isSystemError, recoverFrom } from "../../runtime/errors.ts";
import { readIfPresent } from "../../runtime/files/durable-file.ts";
import { belongsToOtherHome } from "../../runtime/files/home-marker.ts";
import type { DetachedProcess } from "../../runtime/process/child-process.ts";
import {
  isRunning,
  type ProcessIdentity,
  processIdentity,
  readProcesses,
} from "../../runtime/process/process-identity.ts";
import {
  flag,
  nullable,
  number,
  object,
  optional,
  reader,
  type TypeOf,
  text,
  textThat,
} from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import type { MountEntry } from "../mounts/mount-entry.ts";
import type { RelayAddress } from "./mount-driver.ts";
import {
  FIRST_SERVER,
  isServerId,
  type ShareFiles,
  type ShareLocation,
  writeUnlessFull,
} from "./share-files.ts";

export interface ServedFiles extends ShareFiles {
  /** The server for which the mount is made. */
  readonly server: string;
  readonly log: string;
  /** The note about the process. */
  readonly process: string;
}

/** A share that a program serves, or is to serve, at a path. */
export type ServedMountPaths<Files extends ServedFiles = ServedFiles> = ShareLocation<Files>;
export type ServedShare<Files extends ServedFiles = ServedFiles> = Omit<ServedMountPaths<Files>, "mountPath">;

export interface ServingProcess {
  readonly identity: ProcessIdentity;
  readonly arguments: readonly string[];
  /** `NAME=value`; empty: of another user. */
  readonly environment: readonly string[];
}

/** A program that serves mounts, one process for each. */
export interface ServingProgram<Files extends ServedFiles = ServedFiles> {
  readonly name: string;
  /** The type of its mounts in the mount table. */
  readonly type: string;
  /** Matches the short name of its processes. */
  readonly shortName: RegExp;
  /** Whether a daemon with this home folder started the process for this share. */
  isOwn(process: ServingProcess, files: Files): boolean;
  /** The folder where a process with these arguments mounts; undefined: it does not. */
  mountPathOf(args: readonly string[]): string | undefined;
  /** The relay's port that a process with these arguments talks to; null: the mount is not relayed. */
  relayPortOf(args: readonly string[]): number | null;
  /** `folder`: the folder of the share. */
  serverOf(args: readonly string[], folder: string): string;
}

/** The process that serves a mount, as noted in the share's folder. */
const recordShape = object({
  pid: number,
  startTime: text,
  mountPath: text,
  /** The port of 127.0.0.1 that the process talks to; null: the process talks to the host itself. */
  carriedPort: nullable(number),
  /** True: the mount is never moved to another route (see `RelayAddress`). */
  pinned: flag,
  /** The server whose cache the process uses. */
  server: textThat("a server's id", isServerId),
  /** What decides how the mount appears; a mount with others is outdated. Absent in notes of earlier versions. */
  options: optional(text),
  /** The engine's number; absent: another's build of rclone. */
  engine: optional(number),
  /** The share's folder when the note was written; absent in notes of earlier versions. */
  folder: optional(text),
});
const storedRecord = reader(recordShape);

/** The note about a process. Its members include the pid and the start time, which identify the process. */
export type ProcessRecord = Readonly<TypeOf<typeof recordShape>>;

/**
 * Returns the note about the process that serves a share; null if the note is missing or invalid, or if it was copied
 * with the folder from another home.
 */
export async function readProcessRecord({
  folder,
  process,
}: Pick<ServedFiles, "folder" | "process">): Promise<ProcessRecord | null> {
  const record = parseProcessRecord(await readIfPresent(process));
  return (await belongsToOtherHome(record?.folder, folder)) ? null : record;
}

/** Returns the process note; null if the content is not a complete note. */
export function parseProcessRecord(content: string | null): ProcessRecord | null {
  const defaults = { carriedPort: null, pinned: false, server: FIRST_SERVER };
  return storedRecord({ ...defaults, ...jsonObject(content ?? "") });
}

/** Reads a share's note; null: there is none, or the process that it names has ended. */
export async function recordOfRunning(
  files: Pick<ServedFiles, "folder" | "process">,
): Promise<ProcessRecord | null> {
  const record = await readProcessRecord(files);
  return record !== null && (await isRunning(record)) ? record : null;
}

export interface Server extends Pick<ProcessRecord, "carriedPort" | "pinned"> {
  /** null: the process is unknown, or has exited. */
  readonly identity: ProcessIdentity | null;
  /** The process was known, and has exited. */
  readonly gone: boolean;
  /** This daemon, or an earlier one with this home folder, started the process for this share. */
  readonly own: boolean;
  /** See `ProcessRecord`; null or absent: not known. */
  readonly options?: string | null;
  /** See `ProcessRecord`; absent also if not known. */
  readonly engine?: number;
  /** The server whose cache the process uses; null: no daemon with this home folder started the process. */
  readonly server: string | null;
}

export type ServingProcesses<Files extends ServedFiles = ServedFiles> = ReturnType<
  typeof createServingProcesses<Files>
>;

interface Known extends ProcessRecord {
  /** The mount that the process was first seen to serve; it does not serve any other. */
  mountId: string | null;
  exited: boolean;
  ending: boolean;
}

export function createServingProcesses<Files extends ServedFiles>(program: ServingProgram<Files>) {
  /** The process of each share; null: none was found. */
  const started = new Map<string, Known | null>();
  /** Shares for which `running` has already searched for processes without a note. */
  const searched = new Set<string>();
  const listeners = new Set<(shareName: string) => void>();
  const findForeign = createForeignSearch(program);
  /** The processes that ran before this daemon started any. */
  let earlier: Promise<readonly ServingProcess[]> | null = null;
  const findUnnoted = async (files: Files): Promise<ProcessRecord | null> => {
    earlier ??= listServing(program);
    const one = (await earlier).find((each) => program.isOwn(each, files));
    return one === undefined ? null : recordOf(program, one, files);
  };

  const known = async ({ shareName, files }: ServedShare<Files>): Promise<Known | null> => {
    const current = started.get(shareName);
    if (current !== undefined) return current;
    const recorded = await readProcessRecord(files).catch(recoverFrom("ENOTDIR", null));
    const isServing = recorded !== null && (await isRunning(recorded));
    // If a daemon was killed after it started the process and before it wrote the note, only the process itself tells
    // whose it is.
    const record = isServing ? recorded : ((await findUnnoted(files)) ?? recorded);
    // Another call may have found the process since, or a new process may have been started.
    const now = started.get(shareName);
    if (now !== undefined) return now;
    const found = record === null ? null : { ...record, mountId: null, exited: false, ending: false };
    started.set(shareName, found);
    return found;
  };
  const runs = async (one: Known): Promise<boolean> => {
    if (!one.exited && !(await isRunning(one))) one.exited = true;
    return !one.exited;
  };

  return {
    /** The process that serves a mount of the mount table. */
    async of(share: ServedShare<Files>, entry: MountEntry): Promise<Server> {
      const own = await known(share);
      const isAtPath = own?.mountPath === entry.path;
      if (isAtPath && (own.mountId ?? entry.id) === entry.id) {
        const { pid, startTime, carriedPort, pinned, server, options = null, engine = 0 } = own;
        const about = { own: true, carriedPort, pinned, server, options, engine };
        if (await runs(own)) {
          own.mountId = entry.id;
          return { ...about, identity: { pid, startTime }, gone: false };
        }
        // If the process exited before it was seen to serve any mount, this mount may be another process's.
        if (own.mountId !== null) return { ...about, identity: null, gone: true };
      }
      const other = await findForeign(entry);
      if (other !== null) return foreignServer(program, other, share.files);
      const gone = isAtPath && own.mountId === null;
      return { identity: null, gone, own: isAtPath, carriedPort: null, pinned: false, server: null };
    },
    /**
     * The process that was started last for the share, even if it has exited; null: this driver has ended it, or there
     * was none.
     */
    newest: (share: ServedShare<Files>): Promise<ProcessRecord | null> => known(share),
    /**
     * The process that was started last for the share, if it still runs; null: it has exited, or there was
     * none.
     */
    async newestRunning(share: ServedShare<Files>): Promise<ProcessRecord | null> {
      const own = await known(share);
      return own !== null && (await runs(own)) ? own : null;
    },
    /** Running processes that were started for this share, even if no mount shows for them. */
    async running(share: ServedShare<Files>): Promise<readonly ProcessIdentity[]> {
      const own = await known(share);
      const found = own !== null && (await runs(own)) ? [own] : [];
      if (searched.has(share.shareName)) return found;
      const unnoted = (await listServing(program)).filter(
        (one) => program.isOwn(one, share.files) && one.identity.pid !== own?.pid,
      );
      searched.add(share.shareName);
      return [...found, ...unnoted.map(({ identity }) => identity)];
    },
    /**
     * Writes a note about a process that was just started. The note survives a kill of the daemon. null: the process
     * has already exited.
     */
    async started(
      { shareName, files, mountPath }: ServedMountPaths<Files>,
      child: DetachedProcess,
      through: RelayAddress | null,
      options: string,
      engine: number | null,
    ): Promise<ProcessIdentity | null> {
      const identity = await processIdentity(child.pid);
      if (identity === null) return null;
      const pinned = through?.guarded === true;
      const { server, folder } = files;
      const carriedPort = through?.port ?? null;
      const about = { options, folder, ...(engine === null ? {} : { engine }) };
      const record = { ...identity, mountPath, carriedPort, pinned, server, ...about };
      const own: Known = { ...record, mountId: null, exited: false, ending: false };
      started.set(shareName, own);
      child.onExit(() => {
        own.exited = true;
        if (own.ending || started.get(shareName) !== own) return;
        for (const listener of [...listeners]) listener(shareName);
      });
      // If the note cannot be written, the process can still be found by its arguments.
      await writeUnlessFull(files.process, `${JSON.stringify(record)}\n`);
      return identity;
    },
    /** `ending`: whether this driver is ending the process. Its exit is then not reported to listeners. */
    ending(shareName: string, ending: boolean): void {
      const own = started.get(shareName);
      if (own !== undefined && own !== null) own.ending = ending;
    },
    /** Notes that the share's process was ended, and removes its note. */
    async ended({ shareName, files }: ServedShare<Files>): Promise<void> {
      started.set(shareName, null);
      await rm(files.process, { force: true });
    },
    onUnexpectedExit(listener: (shareName: string) => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/**
 * Returns a function that finds the process of a mount by the mount path in the process's arguments. The function
 * searches once for each mount.
 */
function createForeignSearch<Files extends ServedFiles>(
  program: ServingProgram<Files>,
): (entry: MountEntry) => Promise<ServingProcess | null> {
  const byMountId = new Map<string, ServingProcess | null>();
  return async ({ id, path }) => {
    const cached = byMountId.get(id);
    if (cached !== undefined) return cached;
    const found = (await listServing(program)).findLast((one) => one.arguments.includes(path)) ?? null;
    byMountId.set(id, found);
    return found;
  };
}

async function foreignServer<Files extends ServedFiles>(
  program: ServingProgram<Files>,
  found: ServingProcess,
  files: Files,
): Promise<Server> {
  const { identity, arguments: args } = found;
  const alive = await isRunning(identity);
  // A process that a killed daemon left without a note still tells whose it is.
  const own = program.isOwn(found, files);
  return {
    identity: alive ? identity : null,
    gone: !alive,
    own,
    carriedPort: own ? program.relayPortOf(args) : null,
    pinned: false,
    server: own ? program.serverOf(args, files.folder) : null,
  };
}

function recordOf<Files extends ServedFiles>(
  program: ServingProgram<Files>,
  { identity, arguments: args }: ServingProcess,
  { folder }: Files,
): ProcessRecord | null {
  const mountPath = program.mountPathOf(args);
  if (mountPath === undefined) return null;
  const server = program.serverOf(args, folder);
  return { ...identity, mountPath, carriedPort: program.relayPortOf(args), pinned: false, server, folder };
}

/** Each process of the program that runs, of any user whose processes are visible; none if the system has no `/proc`. */
export function listServing(
  { shortName }: Pick<ServingProgram, "shortName">,
  processes?: string,
): Promise<readonly ServingProcess[]> {
  return readProcesses((pid) => readProcess(pid, shortName), processes);
}

async function readProcess(pid: string, shortName: RegExp): Promise<ServingProcess | null> {
  try {
    // The short name is read first, because reading the arguments waits for a lock that a process stuck in the kernel
    // may hold.
    if (!shortName.test(await readFile(`/proc/${pid}/comm`, "utf8"))) return null;
    const args = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0");
    const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(recoverFrom(isSystemError, ""));
    const identity = await processIdentity(Number(pid));
    return identity === null ? null : { identity, arguments: args, environment: environment.split("\0") };
  } catch {
    // The process has exited.
    return null;
  }
}
