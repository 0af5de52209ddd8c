// Owns knowing which process serves which mount: started by us now, by us before a restart, or by someone else.
import { rm } from "node:fs/promises";
import { readIfPresent } from "../../../runtime/files/durable-file.ts";
import type { DetachedProcess } from "../../../runtime/process/child-process.ts";
import {
  isRunning,
  type ProcessIdentity,
  processIdentity,
} from "../../../runtime/process/process-identity.ts";
import type { MountEntry } from "../../mounts/mount-entry.ts";
import { isDiskFull, writeIfChanged } from "../share-files.ts";
import { carriedPortOf, parseProcessNote, processNoteText, type RcloneFiles } from "./files.ts";
import { listRcloneMounts, type RcloneProcess } from "./processes.ts";

interface Server {
  /** null when it is not known, or runs no more. */
  readonly identity: ProcessIdentity | null;
  /** It was known, and runs no more. */
  readonly gone: boolean;
  /** This home started it for this share, in this life of the daemon or an earlier one. */
  readonly own: boolean;
  /** The port of 127.0.0.1 that it talks to; null: it talks to its host. */
  readonly carriedPort: number | null;
}

export interface ServingProcesses {
  /** Who serves a mount that stands in the mount table. */
  of(shareName: string, files: RcloneFiles, entry: MountEntry): Promise<Server>;
  /** Processes that were started for this share and run, whether a mount shows for them or not. */
  running(shareName: string, files: RcloneFiles): Promise<readonly ProcessIdentity[]>;
  /** Notes a process just started, durable enough to outlive a kill of the daemon. null: it has ended already. */
  started(
    shareName: string,
    files: RcloneFiles,
    path: string,
    child: DetachedProcess,
    carriedPort: number | null,
  ): Promise<ProcessIdentity | null>;
  /** While it is being ended, its end is our doing, and news to nobody. */
  ending(shareName: string, ending: boolean): void;
  /** Nothing is started for this share any more. */
  ended(shareName: string, files: RcloneFiles): Promise<void>;
  onUnexpectedExit(listener: (shareName: string) => void): () => void;
}

interface Known {
  readonly identity: ProcessIdentity;
  readonly mountPath: string;
  readonly carriedPort: number | null;
  /** The mount it was first seen to serve; one that came later is somebody else's. */
  mountId: string | null;
  exited: boolean;
  ending: boolean;
}

export function createServingProcesses(): ServingProcesses {
  /** null: looked for, and none. */
  const started = new Map<string, Known | null>();
  /** By the mount's id: processes found by their arguments. */
  const foreign = new Map<string, RcloneProcess | null>();
  /** Shares whose processes of an earlier life were searched for. */
  const searched = new Set<string>();
  const listeners = new Set<(shareName: string) => void>();

  const known = async (shareName: string, files: RcloneFiles): Promise<Known | null> => {
    const current = started.get(shareName);
    if (current !== undefined) return current;
    const note = parseProcessNote(await readIfPresent(files.process));
    const found = note === null ? null : { ...note, mountId: null, exited: false, ending: false };
    // Another caller may have been faster, or a process may have been started meanwhile.
    const now = started.get(shareName);
    if (now !== undefined) return now;
    started.set(shareName, found);
    return found;
  };
  const runs = async (one: Known): Promise<boolean> => {
    if (!one.exited && !(await isRunning(one.identity))) one.exited = true;
    return !one.exited;
  };
  const findForeign = async (entry: MountEntry): Promise<RcloneProcess | null> => {
    const cached = foreign.get(entry.id);
    if (cached !== undefined) return cached;
    const serving = (await listRcloneMounts()).filter((one) => one.arguments.includes(entry.path));
    const found = serving.at(-1) ?? null;
    foreign.set(entry.id, found);
    return found;
  };

  return {
    async of(shareName, files, entry) {
      const own = await known(shareName, files);
      if (own !== null && own.mountPath === entry.path && (own.mountId ?? entry.id) === entry.id) {
        if (await runs(own)) {
          own.mountId = entry.id;
          return { identity: own.identity, gone: false, own: true, carriedPort: own.carriedPort };
        }
        // One that was gone before we ever saw it serve this mount may not be the one that did.
        if (own.mountId !== null) {
          return { identity: null, gone: true, own: true, carriedPort: own.carriedPort };
        }
      }
      const other = await findForeign(entry);
      if (other === null)
        return {
          identity: null,
          gone: own?.mountPath === entry.path && own.mountId === null,
          own: own?.mountPath === entry.path,
          carriedPort: null,
        };
      const alive = await isRunning(other.identity);
      // One that was killed with the daemon before its note was written is known by its configuration file.
      const isOurs = other.arguments.includes(files.config);
      const carriedPort = isOurs ? carriedPortOf(other.arguments) : null;
      return { identity: alive ? other.identity : null, gone: !alive, own: isOurs, carriedPort };
    },
    async running(shareName, files) {
      const own = await known(shareName, files);
      const found = own !== null && (await runs(own)) ? [own.identity] : [];
      if (searched.has(shareName)) return found;
      // A daemon that was killed between a start and its note leaves a process that only its arguments tell.
      const unnoted = (await listRcloneMounts()).filter(
        (one) => one.arguments.includes(files.config) && one.identity.pid !== own?.identity.pid,
      );
      searched.add(shareName);
      return [...found, ...unnoted.map(({ identity }) => identity)];
    },
    async started(shareName, files, path, child, carriedPort) {
      const identity = await processIdentity(child.pid);
      if (identity === null) return null;
      const own: Known = {
        identity,
        mountPath: path,
        carriedPort,
        mountId: null,
        exited: false,
        ending: false,
      };
      started.set(shareName, own);
      child.onExit(() => {
        own.exited = true;
        if (own.ending || started.get(shareName) !== own) return;
        for (const listener of [...listeners]) listener(shareName);
      });
      try {
        await writeIfChanged(files.process, processNoteText({ identity, mountPath: path, carriedPort }));
      } catch (error) {
        // Without a note it is found by its arguments.
        if (!isDiskFull(error)) throw error;
      }
      return identity;
    },
    ending(shareName, ending) {
      const own = started.get(shareName);
      if (own !== undefined && own !== null) own.ending = ending;
    },
    async ended(shareName, files) {
      started.set(shareName, null);
      await rm(files.process, { force: true });
    },
    onUnexpectedExit(listener) {
      const own = (shareName: string): void => listener(shareName);
      listeners.add(own);
      return () => listeners.delete(own);
    },
  };
}
