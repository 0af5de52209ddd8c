// The interface of the prober: mount checks and listings. It is the one child process that touches mounts, so that the
// daemon never does.
import type { Exposure } from "../../runtime/files/exposure.ts";

/** The state of the newest mount check. `never`: there was none. `pending`: the check continues in the background. */
export type MountCheck =
  | { readonly state: "never" }
  | { readonly state: "pending"; readonly startedAtMs: number }
  | {
      readonly state: "answered";
      readonly startedAtMs: number;
      readonly finishedAtMs: number;
      readonly errno: string | null;
    };

export interface OpenFile {
  readonly pid: number;
  readonly command: string;
  /** Absolute, in the process's own view of the file system. */
  readonly path: string;
  readonly how: "fd" | "cwd" | "root" | "mmap";
}

export type OpenFilesAnswer =
  | { readonly ok: true; readonly files: readonly OpenFile[] }
  | { readonly ok: false; readonly text: string };

export type LinkReading =
  | { readonly state: "missing" }
  | {
      readonly state: "link";
      readonly target: string;
      /** `dev:ino:ctimeNs`: changes when the link is replaced. */
      readonly identity: string;
    }
  | { readonly state: "other"; readonly kind: string }
  /** `isLate`: no answer in time. */
  | { readonly state: "unknown"; readonly text: string; readonly isLate?: boolean };

export const NO_LINK_ANSWER = { state: "unknown", text: "no answer in time", isLate: true } as const;

/** Maximum size of a file that the prober reads, bytes: no configuration is larger. */
export const FILE_LIMIT_BYTES = 1024 * 1024;

/** A file's identity and times in ns, in decimal: bigints do not travel in JSON. */
export type FileCheck =
  | {
      readonly state: "file";
      readonly dev: string;
      readonly ino: string;
      readonly size: string;
      readonly mtimeNs: string;
      readonly ctimeNs: string;
    }
  | { readonly state: "failed"; readonly errno: string };

export type FileBytes =
  | { readonly state: "read"; readonly base64: string; readonly inode: string }
  | { readonly state: "failed"; readonly errno: string };

export interface Space {
  /** Available without root rights. */
  readonly free_bytes: number;
  readonly total_bytes: number;
}

export type FolderCheck =
  /** The folder exists and may be read. */
  | { readonly state: "there" }
  /** The path leads out of the share. */
  | { readonly state: "outside" }
  | { readonly state: "failed"; readonly errno: string };

/** Where a path leads after all links are resolved; `unclear`: why that is unknown, an errno or a broken link. */
export type ResolvedPath =
  | {
      /** Absolute: the real path of the part that exists, followed by the part that does not. */
      readonly at: string;
      readonly exists: boolean;
    }
  | { readonly unclear: string };

/** All times are monotonic ms. Questions of one turn of the event loop travel in one message. */
export interface Prober extends AsyncDisposable {
  /**
   * Asks the mount a question that only a live server can answer. A call during a pending check waits for the same
   * check; after a late one, a new one begins only when the late one is answered or the mount's id changes. Resolves
   * after at most `waitMs`, with the state at that time.
   */
  checkMount(mountId: string, path: string, waitMs: number): Promise<MountCheck>;
  /** The newest check, without beginning another one. */
  lastCheck(mountId: string): MountCheck;
  /** Forgets the checks of a mount that is gone. */
  forget(mountId: string): void;
  /** Reads a symlink on a local disk without following it. */
  readLink(path: string, waitMs: number): Promise<LinkReading>;
  /** `readLink` for several paths. */
  readLinks(paths: readonly string[], waitMs: number): Promise<readonly LinkReading[]>;
  /** Whether a folder exists (driver `local` routes). null: no answer in time. */
  folderExists(path: string, waitMs: number): Promise<boolean | null>;
  /** The real path of a path on local disks. null: it does not exist, or no answer in time. */
  realPath(path: string, waitMs: number): Promise<string | null>;
  /**
   * Returns where each of these absolute paths leads, in the same order. null: no answer in time, or too many earlier
   * questions with the same first path are still unanswered.
   */
  resolvePaths(paths: readonly string[], waitMs: number): Promise<readonly ResolvedPath[] | null>;
  /** Checks a file, following symlinks. null: no answer in time. */
  checkFile(path: string, waitMs: number): Promise<FileCheck | null>;
  /** Reads a file of at most FILE_LIMIT_BYTES (a larger one fails with EFBIG). null: no answer in time. */
  fileBytes(path: string, waitMs: number): Promise<FileBytes | null>;
  /** Which other users may write or read these files and folders on local disks. null: no answer in time. */
  exposures(paths: readonly string[], waitMs: number): Promise<readonly Exposure[] | null>;
  /** The room on a mount that answers. null: no answer in time, or the mount does not know. */
  space(path: string, waitMs: number): Promise<Space | null>;
  /** Whether the folder at `subpath` below `root`, the path of a share, exists and may be read. null: no answer in time. */
  checkFolder(root: string, subpath: string, waitMs: number): Promise<FolderCheck | null>;
  /**
   * Finds open files under each path without walking the share. A late or failed answer does not reject.
   * `exceptGroups`: leaders of the process groups to leave out, with all descendants.
   */
  openFiles(
    paths: readonly string[],
    exceptPids: readonly number[],
    waitMs: number,
    exceptGroups?: readonly number[],
  ): Promise<readonly OpenFilesAnswer[]>;
  /** Addresses of a host name from the system's resolver; [] when there is none or the answer is late. */
  resolve(host: string, waitMs: number): Promise<readonly string[]>;
  /** Ids of the prober's processes, which never count as holders of open files. */
  readonly pids: readonly number[];
}
