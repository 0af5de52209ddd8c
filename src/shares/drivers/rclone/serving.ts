// The processes that serve mounts: started by this daemon, by an earlier one, or by someone else.
import { readFile, rm } from "node:fs/promises";
import { recoverFrom } from "../../../runtime/errors.ts";
import type { DetachedProcess } from "../../../runtime/process/child-process.ts";
import {
  isRunning,
  type ProcessIdentity,
  processIdentity,
  readProcesses,
} from "../../../runtime/process/process-identity.ts";
import type { MountEntry } from "../../mounts/mount-entry.ts";
import type { RelayAddress } from "../mount-driver.ts";
import { writeUnlessFull } from "../share-files.ts";
import {
  mountPathOf,
  type ProcessRecord,
  type RcloneFiles,
  type RcloneMountPaths,
  type RcloneShare,
  readProcessRecord,
  relayPortOf,
  serverOfArguments,
} from "./files.ts";

interface Server extends Pick<ProcessRecord, "carriedPort" | "pinned"> {
  /** null: the process is unknown, or has exited. */
  readonly identity: ProcessIdentity | null;
  /** The process was known, and has exited. */
  readonly gone: boolean;
  /** This daemon, or an earlier one with this home folder, started the process for this share. */
  readonly own: boolean;
  /** See `optionsOf`; null or absent: not known. */
  readonly options?: string | null;
  /** See `ProcessRecord`; absent also if not known. */
  readonly engine?: number;
  /** The server whose cache the process uses; null: no daemon with this home folder started the process. */
  readonly server: string | null;
}

export type ServingProcesses = ReturnType<typeof createServingProcesses>;

interface Known extends ProcessRecord {
  /** The mount that the process was first seen to serve; it does not serve any other. */
  mountId: string | null;
  exited: boolean;
  ending: boolean;
}

export function createServingProcesses() {
  /** The process of each share; null: none was found. */
  const started = new Map<string, Known | null>();
  /** Shares for which `running` has already searched for processes without a note. */
  const searched = new Set<string>();
  const listeners = new Set<(shareName: string) => void>();
  const findForeign = createForeignSearch();
  /** The processes that ran before this daemon started any. */
  let earlier: Promise<readonly RcloneProcess[]> | null = null;
  const findUnnoted = async (files: RcloneFiles): Promise<ProcessRecord | null> => {
    earlier ??= listRcloneMounts();
    const one = (await earlier).find(({ arguments: args }) => args.includes(files.config));
    return one === undefined ? null : recordOf(one, files);
  };

  const known = async ({ shareName, files }: RcloneShare): Promise<Known | null> => {
    const current = started.get(shareName);
    if (current !== undefined) return current;
    const recorded = await readProcessRecord(files).catch(recoverFrom("ENOTDIR", null));
    const isServing = recorded !== null && (await isRunning(recorded));
    // If a daemon was killed after it started rclone and before it wrote the note, only rclone's arguments
    // identify the process.
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
    async of(share: RcloneShare, entry: MountEntry): Promise<Server> {
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
      if (other !== null) return foreignServer(other, share.files);
      const gone = isAtPath && own.mountId === null;
      return { identity: null, gone, own: isAtPath, carriedPort: null, pinned: false, server: null };
    },
    /**
     * The process that was started last for the share, even if it has exited; null: this driver has ended it, or there
     * was none.
     */
    newest: (share: RcloneShare): Promise<ProcessRecord | null> => known(share),
    /**
     * The process that was started last for the share, if it still runs; null: it has exited, or there was
     * none.
     */
    async newestRunning(share: RcloneShare): Promise<ProcessRecord | null> {
      const own = await known(share);
      return own !== null && (await runs(own)) ? own : null;
    },
    /** Running processes that were started for this share, even if no mount shows for them. */
    async running(share: RcloneShare): Promise<readonly ProcessIdentity[]> {
      const own = await known(share);
      const found = own !== null && (await runs(own)) ? [own] : [];
      if (searched.has(share.shareName)) return found;
      const unnoted = (await listRcloneMounts()).filter(
        (one) => one.arguments.includes(share.files.config) && one.identity.pid !== own?.pid,
      );
      searched.add(share.shareName);
      return [...found, ...unnoted.map(({ identity }) => identity)];
    },
    /**
     * Writes a note about a process that was just started. The note survives a kill of the daemon. null: the process
     * has already exited.
     */
    async started(
      { shareName, files, mountPath }: RcloneMountPaths,
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
    async ended({ shareName, files }: RcloneShare): Promise<void> {
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
 * Returns a function that finds the rclone process of a mount by the mount path in the process's arguments. The
 * function searches once for each mount.
 */
function createForeignSearch(): (entry: MountEntry) => Promise<RcloneProcess | null> {
  const byMountId = new Map<string, RcloneProcess | null>();
  return async ({ id, path }) => {
    const cached = byMountId.get(id);
    if (cached !== undefined) return cached;
    const found = (await listRcloneMounts()).findLast((one) => one.arguments.includes(path)) ?? null;
    byMountId.set(id, found);
    return found;
  };
}

async function foreignServer(
  { identity, arguments: args }: RcloneProcess,
  { config, folder }: RcloneFiles,
): Promise<Server> {
  const alive = await isRunning(identity);
  // A process that a killed daemon left without a note is recognized by its configuration file.
  const own = args.includes(config);
  return {
    identity: alive ? identity : null,
    gone: !alive,
    own,
    carriedPort: own ? relayPortOf(args) : null,
    pinned: false,
    server: own ? serverOfArguments(args, folder) : null,
  };
}

interface RcloneProcess {
  readonly identity: ProcessIdentity;
  readonly arguments: readonly string[];
}

function recordOf(
  { identity, arguments: args }: RcloneProcess,
  { folder }: RcloneFiles,
): ProcessRecord | null {
  const mountPath = mountPathOf(args);
  if (mountPath === undefined) return null;
  const server = serverOfArguments(args, folder);
  return { ...identity, mountPath, carriedPort: relayPortOf(args), pinned: false, server, folder };
}

/** Every rclone that runs, of any user whose processes are visible; none if the system has no `/proc`. */
export function listRcloneMounts(processes?: string): Promise<readonly RcloneProcess[]> {
  return readProcesses(readProcess, processes);
}

async function readProcess(pid: string): Promise<RcloneProcess | null> {
  try {
    // The short name is read first, because reading the arguments waits for a lock that a process stuck in the kernel
    // may hold.
    if (!/^(mount\.)?rclone/.test(await readFile(`/proc/${pid}/comm`, "utf8"))) return null;
    const args = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0");
    const identity = await processIdentity(Number(pid));
    return identity === null ? null : { identity, arguments: args };
  } catch {
    // The process has exited.
    return null;
  }
}
