// The mountaineer-fs processes that serve mounts, one for each mount: started by this daemon, by an earlier one, or by someone else.
import { readFile } from "node:fs/promises";
import { isSystemError, recoverFrom } from "../../../runtime/errors.ts";
import { readIfPresent } from "../../../runtime/files/durable-file.ts";
import type { DetachedProcess } from "../../../runtime/process/child-process.ts";
import {
  isRunning,
  type ProcessIdentity,
  processIdentity,
  readProcesses,
} from "../../../runtime/process/process-identity.ts";
import { number, object, reader, text } from "../../../runtime/shape.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import { type MountEntry, optionValue } from "../../mounts/mount-entry.ts";
import type { ShareLocation } from "../share-files.ts";
import type { FsFiles } from "./mount-arguments.ts";
import type { RunningProgram } from "./moving-programs.ts";

/** A share, and where it is mounted. */
export type FsLocation = ShareLocation<FsFiles>;
type FsShare = Omit<FsLocation, "mountPath">;

const NAME = /^mountaineer-fs/;
const FOLDER_VARIABLE = "MOUNTAINEER_SHARE_FOLDER";
const OPTIONS_VARIABLE = "MOUNTAINEER_MOUNT";

/** Tells later daemons whose process it is, and how its mount was made. */
export function fsEnvironment({ folder }: FsFiles, options: string): Readonly<Record<string, string>> {
  return { [FOLDER_VARIABLE]: folder, [OPTIONS_VARIABLE]: options };
}

/** A running process, as `/proc` shows it. */
interface ShownProcess {
  readonly identity: ProcessIdentity;
  readonly arguments: readonly string[];
  /** `NAME=value`; empty: of another user. */
  readonly environment: readonly string[];
}

/** The process that serves a mount. */
export interface ServedBy {
  /** null: the process is unknown, or has exited. */
  readonly identity: ProcessIdentity | null;
  /** The process was known, and has exited. */
  readonly gone: boolean;
  /** A daemon with this home folder started the process for this share. */
  readonly own: boolean;
  /** A daemon with another home folder started it. */
  readonly foreign?: boolean;
  /** How the mount was made; null: not known. */
  readonly options: string | null;
}

interface Known extends ProcessIdentity {
  readonly mountPath: string;
  readonly options: string | null;
  /** The mount that the process was first observed to serve; it does not serve any other. */
  mountId: string | null;
  exited: boolean;
  ending: boolean;
}

const runningProgramOf = reader(
  object({ pid: number, startTime: text, socket: text, mounted: text, folder: text }),
);

/**
 * What the share's program says of itself; null: nothing. A folder that was copied from another home has the file of that home's
 * program.
 */
export async function readProgramFile({ folder, program }: FsFiles) {
  const found = runningProgramOf(
    jsonObject((await readIfPresent(program).catch(recoverFrom("ENOTDIR", null))) ?? ""),
  );
  return found?.folder === folder ? found : null;
}

export type FsProcesses = ReturnType<typeof createFsProcesses>;

export function createFsProcesses() {
  /** The process of each share; null: none was found. */
  const started = new Map<string, Known | null>();
  /** Shares for which `running` has already searched for other processes. */
  const searched = new Set<string>();
  const listeners = new Set<(shareName: string) => void>();
  /** The processes of mounts that no share of this home has, by the id of the mount. */
  const foreign = new Map<string, ShownProcess | null>();

  const known = async ({ shareName, files }: FsShare): Promise<Known | null> => {
    const current = started.get(shareName);
    if (current !== undefined) return current;
    const found = await findOwn(files);
    // Another call may have found the process since, or a new process may have been started.
    const now = started.get(shareName);
    if (now !== undefined) return now;
    started.set(shareName, found);
    return found;
  };
  const runs = async (one: Known): Promise<boolean> => {
    if (!one.exited && !(await isRunning(one))) one.exited = true;
    return !one.exited;
  };
  const findForeign = async ({ id, path }: MountEntry): Promise<ShownProcess | null> => {
    const cached = foreign.get(id);
    if (cached !== undefined) return cached;
    const found = (await listProcesses()).findLast((one) => one.arguments.includes(path)) ?? null;
    foreign.set(id, found);
    return found;
  };

  return {
    /** The process that serves a mount of the mount table. */
    async of(share: FsShare, entry: MountEntry): Promise<ServedBy> {
      const own = await known(share);
      const isAtPath = own?.mountPath === entry.path;
      if (isAtPath && (own.mountId ?? entry.id) === entry.id) {
        const { pid, startTime, options } = own;
        if (await runs(own)) {
          own.mountId = entry.id;
          return { own: true, options, identity: { pid, startTime }, gone: false };
        }
        // If the process exited before it was observed to serve any mount, this mount may be another process's.
        if (own.mountId !== null) return { own: true, options, identity: null, gone: true };
      }
      const other = await findForeign(entry);
      if (other === null)
        return { identity: null, gone: isAtPath && own.mountId === null, own: isAtPath, options: null };
      const isAlive = await isRunning(other.identity);
      const isOwn = isOf(other, share.files);
      return {
        ...{ identity: isAlive ? other.identity : null, gone: !isAlive, own: isOwn },
        foreign: !isOwn && optionValue(other.environment, FOLDER_VARIABLE) !== null,
        options: isOwn ? optionValue(other.environment, OPTIONS_VARIABLE) : null,
      };
    },
    /** The process that was started last for the share, even if it has exited; null: none, or this driver has ended it. */
    newest: (share: FsShare): Promise<Pick<Known, "mountPath"> | null> => known(share),
    /** Where the running program of the share's mount listens; null: no program runs. */
    async program(share: FsShare): Promise<RunningProgram | null> {
      const own = await known(share);
      const found = await readProgramFile(share.files);
      return found !== null && own !== null && found.pid === own.pid && (await runs(own)) ? found : null;
    },
    /** Running processes that were started for this share, even if no mount shows for them. */
    async running(share: FsShare): Promise<readonly ProcessIdentity[]> {
      const own = await known(share);
      const found = own !== null && (await runs(own)) ? [own] : [];
      if (searched.has(share.shareName)) return found;
      const others = (await listProcesses()).filter(
        (one) => isOf(one, share.files) && one.identity.pid !== own?.pid,
      );
      searched.add(share.shareName);
      return [...found, ...others.map(({ identity }) => identity)];
    },
    /** Notes a process that was just started. */
    async started(
      { shareName, mountPath }: FsLocation,
      child: DetachedProcess,
      options: string,
    ): Promise<void> {
      const identity = await processIdentity(child.pid);
      if (identity === null) return;
      const own: Known = { ...identity, mountPath, options, mountId: null, exited: false, ending: false };
      started.set(shareName, own);
      child.onExit(() => {
        own.exited = true;
        if (own.ending || started.get(shareName) !== own) return;
        for (const listener of [...listeners]) listener(shareName);
      });
    },
    /** `ending`: whether this driver is ending the process. Its exit is then not reported to listeners. */
    ending(shareName: string, ending: boolean): void {
      const own = started.get(shareName);
      if (own !== undefined && own !== null) own.ending = ending;
    },
    /** Notes that the share's process was ended. */
    ended: ({ shareName }: FsShare): void => void started.set(shareName, null),
    onUnexpectedExit(listener: (shareName: string) => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The process of an earlier daemon: by its own file, or, if it has not written that yet, by its environment. */
async function findOwn(files: FsFiles): Promise<Known | null> {
  const file = await readProgramFile(files);
  const own = (await listProcesses()).find((one) => isOf(one, files)) ?? null;
  const nothing = { mountId: null, exited: false, ending: false };
  if (own === null)
    return (
      file && { pid: file.pid, startTime: file.startTime, mountPath: file.mounted, options: null, ...nothing }
    );
  // The text of /proc ends in a NUL.
  const mountPath = own.arguments.at(-2) ?? "";
  return { ...own.identity, mountPath, options: optionValue(own.environment, OPTIONS_VARIABLE), ...nothing };
}

function isOf({ environment }: ShownProcess, { folder }: FsFiles): boolean {
  return environment.includes(`${FOLDER_VARIABLE}=${folder}`);
}

/** The running processes of a short name, of any user whose processes are visible; none if the system has no `/proc`. */
export function listProcesses(): Promise<readonly ShownProcess[]> {
  return readProcesses(async (pid) => {
    try {
      // The short name is read first, because reading the arguments waits for a lock that a process stuck in the kernel
      // may hold.
      if (!NAME.test(await readFile(`/proc/${pid}/comm`, "utf8"))) return null;
      const args = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0");
      const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(
        recoverFrom(isSystemError, ""),
      );
      const identity = await processIdentity(Number(pid));
      return identity === null ? null : { identity, arguments: args, environment: environment.split("\0") };
    } catch {
      // The process has exited.
      return null;
    }
  });
}
