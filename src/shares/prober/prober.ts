// The interface of the prober, the one child process that touches mounts so that the daemon never does.
import type { Exposure } from "../../runtime/files/exposure.ts";

/** One look at a mount that no cache can answer. A pending look goes on in the background and is not asked again. */
export type Look =
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
  /** Absolute, as the process sees it. */
  readonly path: string;
  readonly how: "fd" | "cwd" | "root" | "mmap";
}

export type OpenFilesAnswer =
  | {
      readonly ok: true;
      readonly files: readonly OpenFile[];
    }
  | { readonly ok: false; readonly text: string };

export type LinkLook =
  | { readonly state: "missing" }
  | {
      readonly state: "link";
      readonly target: string;
      /** `dev:ino:ctimeNs`: changes when the link is replaced. */
      readonly identity: string;
    }
  | { readonly state: "other"; readonly kind: string }
  /** `isLate`: there was no answer in time. */
  | { readonly state: "unknown"; readonly text: string; readonly isLate?: boolean };

export const NO_LINK_ANSWER = { state: "unknown", text: "no answer in time", isLate: true } as const;

/** The largest file that the prober reads: no configuration is larger. */
export const FILE_LIMIT_BYTES = 1024 * 1024;

/** A file's identity and times in ns, in decimal: bigints do not travel in JSON. */
export type FileLook =
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
  | { readonly state: "read"; readonly base64: string }
  | { readonly state: "failed"; readonly errno: string };

export type FolderListing =
  /** Names, in no order. */
  | { readonly state: "listed"; readonly folders: readonly string[]; readonly truncated: boolean }
  /** It leads out of the share. */
  | { readonly state: "outside" }
  | { readonly state: "failed"; readonly errno: string };

/** Where a path leads, links and all; `unclear`: an errno, or a link that leads to nothing. */
export type PathPlace =
  | {
      /** Absolute. What does not exist yet stands below what does. */
      readonly at: string;
      readonly exists: boolean;
    }
  | { readonly unclear: string };

/** Monotonic ms throughout. Batches what is asked in one turn of the event loop into one message. */
export interface Prober extends AsyncDisposable {
  /**
   * Looks at a mount by what only a live server can answer. `mountId` names the mount: a look that is still
   * pending is joined, never doubled; once one is late the mount is marked and not looked at again until its
   * id changes or the late look answers. Resolves with the state after at most `waitMs`.
   */
  look(mountId: string, path: string, waitMs: number): Promise<Look>;
  /** The newest look without asking for one. */
  lastLook(mountId: string): Look;
  /** Drops what is known of a mount that is gone. */
  forget(mountId: string): void;
  /** Reads a symlink on a local disk, without following. */
  readLink(path: string, waitMs: number): Promise<LinkLook>;
  /** The same for several. */
  readLinks(paths: readonly string[], waitMs: number): Promise<readonly LinkLook[]>;
  /** Whether a folder exists (driver `local` routes). null: no answer in time. */
  folderExists(path: string, waitMs: number): Promise<boolean | null>;
  /** A path on local disks without symlinks inside, as the kernel spells it. null: none, or no answer in time. */
  realPath(path: string, waitMs: number): Promise<string | null>;
  /**
   * Where each of these absolute paths leads, in their order. null: no answer in time, or there was none for others that
   * begin with the same path, and these still hang.
   */
  places(paths: readonly string[], waitMs: number): Promise<readonly PathPlace[] | null>;
  /** Looks at a file, following symlinks. null: no answer in time. */
  fileLook(path: string, waitMs: number): Promise<FileLook | null>;
  /** Reads a file of at most FILE_LIMIT_BYTES (a larger one fails with EFBIG). null: no answer in time. */
  fileBytes(path: string, waitMs: number): Promise<FileBytes | null>;
  /** Who else may write or read these files and folders on local disks. null: no answer in time. */
  exposures(paths: readonly string[], waitMs: number): Promise<readonly Exposure[] | null>;
  /** The folders in a folder of a share, which is reached by `root`. null: no answer in time. */
  folders(root: string, subpath: string, waitMs: number): Promise<FolderListing | null>;
  /** The same without names: whether it is there and may be read, however much is in it. */
  folderLook(root: string, subpath: string, waitMs: number): Promise<FolderListing | null>;
  /**
   * Open files under each path; late or failed is a value. Without a walk of the share. `exceptGroups`: leaders of process
   * groups, whose groups and descendants are left out, too.
   */
  openFiles(
    paths: readonly string[],
    exceptPids: readonly number[],
    waitMs: number,
    exceptGroups?: readonly number[],
  ): Promise<readonly OpenFilesAnswer[]>;
  /** Addresses of a host name, through the system's resolver; [] when it has none or the answer is late. */
  resolve(host: string, waitMs: number): Promise<readonly string[]>;
  /** The prober's process ids (the running one, and late ones that still wait): ours, never "open files". */
  readonly pids: readonly number[];
}
