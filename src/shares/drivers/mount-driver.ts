// Owns what every way to mount must offer; one file beside this one per way.
import type { RouteName, ShareSpec } from "../share-spec.ts";

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
}

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

/** Deadlines hold even when the mount hangs; nothing here blocks the daemon's thread. */
export interface MountDriver {
  readonly name: ShareSpec["driver"];
  /** A look sooner than this after the last one proves nothing (driver caches), ms. */
  readonly cacheMs: number;
  /**
   * null when all that the driver needs is here now; else what is missing, and a hint. With a share: all that it takes to
   * mount that, over one of its routes at least. Cheap enough for every look.
   */
  unavailable(share?: ShareSpec): Promise<Lacking | null>;
  /** All mounts of this share, wherever, and whatever is mounted at its path. Never touches a mount. */
  find(share: ShareSpec, notBeforeMs: number): Promise<readonly FoundMount[]>;
  /** Mounts over one route and proves it by a readdir; on failure leaves nothing mounted behind. */
  mount(share: ShareSpec, route: RouteName, limits: StepLimits): Promise<MountOutcome>;
  /** `ok` means gone from the mount table and its process ended. */
  unmount(
    share: ShareSpec,
    mount: FoundMount,
    mode: UnmountMode,
    limits: StepLimits,
  ): Promise<UnmountOutcome>;
  /** Files written and not yet on the server, as paths inside the share. */
  unsent(share: ShareSpec): Promise<readonly string[]>;
  /**
   * Folders of this machine that hold what programs wrote to this share and what never gets to the server by itself.
   * Cheap enough for every look; absent where there can be none. Never rejects.
   */
  setAside?(share: ShareSpec): Promise<readonly string[]>;
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
