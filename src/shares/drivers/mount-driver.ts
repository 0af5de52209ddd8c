// The interface of a mount driver; each folder beside this file has one.
import type { ProbeResult } from "../../network/probe/probe-result.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountTable } from "../mounts/mount-entry.ts";
import type { Prober } from "../prober/prober.ts";
import type { RouteName, ShareSpec } from "../share-spec.ts";

/** The addresses of a host that are known already; asks no resolver. */
export type AddressesOf = (host: string) => readonly string[];

export interface SmbDriverOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly prober: Prober;
  readonly mountTable: MountTable;
  readonly addressesOf: AddressesOf;
}

/** A written file that the server refuses. */
export interface RefusedUpload {
  /** Path in the share. */
  readonly path: string;
  /** The server's error message. */
  readonly reason: string;
}

/** A mount as the system's own table shows it; nothing here came from touching the mount. */
export interface FoundMount {
  /** Changes whenever something else is mounted at the path: mountinfo's id, or the link's identity. */
  readonly id: string;
  readonly path: string;
  /** The source of the mount: `//HOST[:port]/SHARE` for SMB, the folder for `local`. */
  readonly source: string;
  /** False for a mount of another share or another kind at our path. */
  readonly sameShare: boolean;
  /**
   * The configured route that has the host and the port of `source`; hosts are compared by name or address. null:
   * none.
   */
  readonly route: RouteName | null;
  /**
   * The process that serves the mount is known and has exited: the mount is dead, and no check is needed to
   * see it.
   */
  readonly processGone: boolean;
  /** A daemon with this home folder made the mount for this share, maybe under another configuration. */
  readonly madeByDriver: boolean;
  /**
   * The port of 127.0.0.1 that the mount talks to, usually the relay's; null or absent: it talks to its
   * host.
   */
  readonly relayPort?: number | null;
  /** True: the mount talks to the relay, but was not made to be moved to another route. */
  readonly guarded?: boolean;
  /** Id of the server whose write cache the mount uses; null or absent: unknown. */
  readonly server?: string | null;
  /** Made with other options, or by an older program, than a mount would be made with now. */
  readonly outdated?: true;
  /** Its program notices when a connection has ended, and repeats on another one what may be repeated. */
  readonly repeats?: true;
  /**
   * Nothing is mounted where this leads: what programs write goes to the local disk. The text says where.
   */
  readonly lost?: string;
  /** Made by a driver that the share had earlier: the current configuration does not apply to the mount. */
  readonly former?: true;
}

/** Whether the folder behind a route may be used. */
export type FolderProbe = Pick<ProbeResult, "verdict" | "text"> & Partial<Pick<ProbeResult, "reason">>;

/** The relay's port that a mount talks to instead of its host. */
export interface RelayAddress {
  /** A port of 127.0.0.1. */
  readonly port: number;
  /** How long the relay may leave a request without an answer. */
  readonly patienceMs: number;
  /** The relay may only hold back what the mount sends, and never moves the mount to another route. */
  readonly guarded?: boolean;
}

export interface MissingRequirement {
  readonly text: string;
  readonly hint: string;
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
 * - `plain`: for healthy mounts; fails with EBUSY while files are open.
 * - `force`: for a dead route or mount, or at a person's request; cuts off open files.
 */
export type UnmountMode = "plain" | "force";

export interface StepLimits {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** A folder of this machine with files that programs wrote to a share and that nothing sends to the server. */
export interface SetAsideFolder {
  readonly folder: string;
  /** Paths in the share, some with a remark for people; not all if there are many. Empty: unknown. */
  readonly files: readonly string[];
}

/** Files that programs wrote for one server and that are not on that server yet. */
export interface UnsentForServer {
  /** The server's id. */
  readonly server: string;
  /** Where the server was last seen, `//HOST/SHARE`; null: unknown. */
  readonly source: string | null;
  /** Whether the server has an identity that can be proved, so that it is recognized when it returns. */
  readonly proved: boolean;
  /** This server is mounted now. */
  readonly inUse: boolean;
  readonly files: readonly UnsentFile[];
  /** The folder of this machine that holds the content of these files. */
  readonly folder: string;
}

export interface UnsentFile {
  /** Path in the share. */
  readonly path: string;
  readonly bytes: number;
  /** When a file was last written, wall ms. */
  readonly writtenAtMs: number;
}

/** Deadlines hold even when the mount hangs; nothing here blocks the daemon's thread. */
export interface MountDriver {
  readonly name: ShareSpec["driver"];
  /** A check within this time after another one, ms, may be answered from a cache and then proves nothing. */
  readonly cacheMs: number;
  /**
   * The system may delay checks of a new mount until a person answers a dialog, so the mount seems to hang. Absent:
   * never.
   */
  readonly mayWaitForPermission?: true;
  /**
   * The requirement that is missing to mount at all, or to mount `share` over any of its routes, with a hint; null:
   * none is missing, or one route works. Cheap enough for every cycle. `notBeforeMs` (monotonic): an earlier reading,
   * not older than this, may be reused.
   */
  missingRequirement(share?: ShareSpec, notBeforeMs?: number): Promise<MissingRequirement | null>;
  /** What the installed mounting program costs that a better one does not; null or absent: nothing is known. */
  advice?(): MissingRequirement | null;
  /** Finds all mounts of this share, and any other mount at the share's mount path. Never touches a mount. */
  find(share: ShareSpec, notBeforeMs: number): Promise<readonly FoundMount[]>;
  /** Checks a route's folder; absent: routes have no folders. */
  probeFolder?(share: ShareSpec, folder: string): Promise<FolderProbe>;
  /** A relayed mount survives when its connections are reset and opened again over another route. Absent: none does. */
  readonly canBeRelayed?: true;
  /**
   * Also a mount that stays on its route goes through the relay, which passes nothing on to a server that is not proved: a
   * program that reconnects automatically could write to another server, as could a cache with unsent files. Absent: such a mount
   * talks to its host.
   */
  readonly onlyThroughRelay?: true;
  /**
   * Mounts over one route and proves the mount by a readdir; leaves nothing mounted behind on failure. Each progress
   * restarts the deadline. `through`: the relay's port that the mount uses as long as it lasts, although the mount
   * table shows the preferred host. `server`: the server that answers; the mount sends the files that are kept for this
   * server.
   */
  mount(
    share: ShareSpec,
    route: RouteName,
    limits: StepLimits,
    through?: RelayAddress | null,
    server?: string,
  ): Promise<MountOutcome>;
  /** `ok`: the mount is gone from the mount table, and its process has ended. */
  unmount(
    share: ShareSpec,
    mount: FoundMount,
    mode: UnmountMode,
    limits: StepLimits,
  ): Promise<UnmountOutcome>;
  /**
   * Files that were written but are not on the mounted server yet, as paths inside the share. Without a mount, the
   * server that was mounted last counts.
   */
  unsent(share: ShareSpec): Promise<readonly string[]>;
  /**
   * Unsent files of the share that wait for another server than the mounted one; `withInUse` adds the files for the
   * mounted one. Cheap enough for every check; never rejects.
   */
  unsentForOthers?(share: ShareSpec, withInUse?: boolean): Promise<readonly UnsentForServer[]>;
  /**
   * Carries out a person's decision about the files that wait for `server`. Rejects with `usage` if that is
   * not possible.
   */
  decideWaiting?(share: ShareSpec, server: string, what: "send_here" | "set_aside"): Promise<void>;
  /**
   * Folders of this machine with files that programs wrote to this share and that nothing sends to the
   * server. Cheap enough for every check; absent if the driver leaves no such files. Never rejects.
   */
  setAside?(share: ShareSpec): Promise<readonly SetAsideFolder[]>;
  /**
   * Returns uploads that the server refused and that are tried again. Cheap enough for every check. Absent if a
   * program that writes gets the error itself; never rejects.
   */
  refusedUploads?(share: ShareSpec): Promise<readonly RefusedUpload[]>;
  /**
   * Makes the share's relayed mount find its dead connections before programs do; absent if the mount finds them
   * without help. `liveCount`: the maximum number of connections that the mount may have. Ends within a few seconds and
   * never rejects.
   */
  dropLost?(share: ShareSpec, liveCount: number): Promise<void>;
  /** Processes that serve this mount, which never count as "open files". */
  ownProcesses(share: ShareSpec, mount: FoundMount): Promise<readonly number[]>;
  /** The path under which the system lists files that processes have open on this mount. */
  openFilesPath(mount: FoundMount): string;
  /**
   * Calls the listener when a process that serves a mount of `shareName` has ended, before the next check would show
   * it. Returns a function that unregisters the listener. Absent if mounts have no process.
   */
  onMountProcessExit?(listener: (shareName: string) => void): () => void;
}
