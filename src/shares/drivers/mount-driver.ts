// The interface of a mount driver; each folder beside this file has one.
import type { RouteName, ShareSpec } from "../share-spec.ts";

/** A file that is written and that the server does not take. */
export interface RefusedUpload {
  /** In the share. */
  readonly path: string;
  /** In the server's words. */
  readonly reason: string;
}

/** A mount as the system's own table shows it; nothing here came from touching the mount. */
export interface FoundMount {
  /** Changes whenever something else is mounted there: mountinfo's id, or the link's identity. */
  readonly id: string;
  readonly path: string;
  /** `//HOST[:port]/SHARE` for SMB, the folder for `local`; what it was mounted from. */
  readonly source: string;
  /** False for a mount of another share or another kind at our path. */
  readonly sameShare: boolean;
  /** The configured route whose host (by name or resolved address) and port is the source's. */
  readonly route: RouteName | null;
  /** The process that serves the mount is known and no longer runs: dead at once. */
  readonly processGone: boolean;
  /** This home's driver made it for this share, maybe under another configuration. */
  readonly madeByDriver: boolean;
  /** The port of 127.0.0.1 that it talks to, whose route can be moved; null or absent: it talks to its host. */
  readonly carriedPort?: number | null;
  /** Its route was not to be moved when it was mounted. */
  readonly pinned?: boolean;
  /** The server whose cache it uses; null or absent: unknown. */
  readonly server?: string | null;
}

/** Where a mount talks to instead of its host. */
export interface Through {
  /** Of 127.0.0.1. */
  readonly port: number;
  /** How long it may be without an answer. */
  readonly patienceMs: number;
  /** Only to have what goes to the server held back: its route is not to be moved. */
  readonly pinned?: boolean;
}

/** Whether mounts of a driver go on while their connections are reset and made anew over another route. */
type CarryAbility =
  | {
      readonly can: true;
      /** The port that the system's own instructions for this share name; null: any will do. */
      readonly fixedPort?: (share: ShareSpec) => Promise<number | null>;
      /** Why this share, as this machine is set up, cannot be carried, and what to do; null: it can. Never rejects. */
      readonly refusal?: (share: ShareSpec) => Promise<Lacking | null>;
      /**
       * The account that the system's own instructions (fstab) give for the share; null: they give none, or this user
       * cannot read it, so that the configuration's counts.
       */
      readonly account?: (share: ShareSpec) => Promise<Pick<ShareSpec, "username" | "password"> | null>;
    }
  | { readonly can: false; readonly reason: string };

/** What the machine lacks for mounting. */
export interface Lacking {
  readonly text: string;
  readonly hint: string;
  /** FUSE is not there, or this user may not open it; absent: something else. */
  readonly fuse?: "missing" | "denied";
}

export type MountOutcome =
  | { readonly ok: true; readonly mount: FoundMount; readonly adopted: boolean }
  | { readonly ok: false; readonly reason: MountFailure; readonly text: string };

export type MountFailure =
  | "wrong_credentials"
  | "no_such_share"
  | "refused"
  | "unreachable"
  | "timed_out"
  | "path_taken"
  | "driver_unavailable"
  | "permission_denied"
  | "other";

export type UnmountOutcome =
  | { readonly ok: true }
  /** EBUSY: files are open. */
  | { readonly ok: false; readonly reason: "busy"; readonly text: string }
  | { readonly ok: false; readonly reason: "failed"; readonly text: string };

/**
 * - `plain`: healthy mounts; EBUSY is the answer when files are open.
 * - `force`: the route or the mount is dead, or a person said so: open files are cut off.
 */
export type UnmountMode = "plain" | "force";

export interface StepLimits {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** A folder of this machine with what programs wrote to a share, and what never gets to the server by itself. */
export interface SetAsideFolder {
  readonly folder: string;
  /** Paths in the share, each with what people have to know about it; some of many. Empty: they are not known apart. */
  readonly files: readonly string[];
}

/** What programs wrote to one server, and what is not there yet. */
export interface WaitingUnsent {
  /** The server's id. */
  readonly server: string;
  /** Where it was met last, `//HOST/SHARE`; null: not known. */
  readonly source: string | null;
  /** False: which server it is stays unknown. */
  readonly proved: boolean;
  /** It is the one that is mounted. */
  readonly inUse: boolean;
  readonly files: readonly UnsentFile[];
  /** The folder of this machine that holds their content. */
  readonly folder: string;
}

export interface UnsentFile {
  /** In the share. */
  readonly path: string;
  readonly bytes: number;
  /** When it was written last, wall ms. */
  readonly writtenAtMs: number;
}

/** Deadlines hold even when the mount hangs; nothing here blocks the daemon's thread. */
export interface MountDriver {
  readonly name: ShareSpec["driver"];
  /** A look sooner than this after the last one proves nothing (driver caches), ms. */
  readonly cacheMs: number;
  /**
   * The system may hold back looks at a new mount until a person answers its dialog, which looks like a mount that hangs.
   * Absent: it never does.
   */
  readonly mayWaitForPermission?: true;
  /**
   * null when all that the driver needs is here now; else what is missing, and a hint. With a share: all that it takes to
   * mount that, over one of its routes at least. Cheap enough for every look. `notBeforeMs` (monotonic): that nothing was
   * missing since then will do.
   */
  unavailable(share?: ShareSpec, notBeforeMs?: number): Promise<Lacking | null>;
  /** What the program that mounts does worse than a newer one; null: nothing that is known. Absent: never anything. */
  advice?(): Lacking | null;
  /** All mounts of this share, wherever, and whatever is mounted at its path. Never touches a mount. */
  find(share: ShareSpec, notBeforeMs: number): Promise<readonly FoundMount[]>;
  /** Absent: it cannot be carried. */
  readonly carries?: CarryAbility;
  /**
   * What it has not sent outlives its mounts, and is kept for each server apart. It is mounted through the carrier alone,
   * as that lets nothing to a server that is not proved. Absent: what is unsent ends with a mount.
   */
  readonly keepsUnsent?: true;
  /**
   * Mounts over one route and proves it by a readdir; on failure leaves nothing mounted behind. `through`: over that
   * port, for good; the mount table shows the preferred host all the same. `server`: the one that is there, and to which
   * goes what is kept for it. The deadline counts from the last thing that a mount was seen to do.
   */
  mount(
    share: ShareSpec,
    route: RouteName,
    limits: StepLimits,
    through?: Through | null,
    server?: string,
  ): Promise<MountOutcome>;
  /** `ok` means gone from the mount table and its process ended. */
  unmount(
    share: ShareSpec,
    mount: FoundMount,
    mode: UnmountMode,
    limits: StepLimits,
  ): Promise<UnmountOutcome>;
  /** Files written and not yet on the server that is mounted, or was last, as paths inside the share. */
  unsent(share: ShareSpec): Promise<readonly string[]>;
  /** What is kept for the other servers of the share, and if so asked for the one that is mounted. Cheap enough for every look; never rejects. */
  waiting?(share: ShareSpec, withInUse?: boolean): Promise<readonly WaitingUnsent[]>;
  /** A person's decision about that. Rejects with `usage` where it cannot be done. */
  decideWaiting?(share: ShareSpec, server: string, what: "send_here" | "set_aside"): Promise<void>;
  /**
   * Folders of this machine that hold what programs wrote to this share and what never gets to the server by itself.
   * Cheap enough for every look; absent where there can be none. Never rejects.
   */
  setAside?(share: ShareSpec): Promise<readonly SetAsideFolder[]>;
  /**
   * Uploads that the server refused and that are tried again. Cheap enough for every look; absent where a program that
   * writes gets the error itself. Never rejects.
   */
  refusedUploads?(share: ShareSpec): Promise<readonly RefusedUpload[]>;
  /**
   * Makes the share's carried mount find out which of the connections that it keeps are dead, before programs do. Absent
   * where it finds out by itself. `kept`: it has so many at most. Ends within a few seconds and never rejects.
   */
  dropLost?(share: ShareSpec, kept: number): Promise<void>;
  /** Processes that serve this mount: never "open files". */
  ownProcesses(share: ShareSpec, mount: FoundMount): Promise<readonly number[]>;
  /** The path under which processes that hold files of this mount show them. */
  openFilesPath(mount: FoundMount): string;
  /**
   * Tells when a process that serves a mount of `shareName` ended, so that nobody waits for the next look.
   * Absent where mounts have no process. Returns its own unregister.
   */
  onMountProcessExit?(listener: (shareName: string) => void): () => void;
}
