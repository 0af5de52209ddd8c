// The interface of a mount driver; each folder beside this file has one.
import type { ProbeResult } from "../../network/probe/probe-result.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import type { MountTable } from "../mounts/mount-entry.ts";
import type { Prober } from "../prober/prober.ts";
import type { SignIn } from "../program/sign-in.ts";
import type { RouteName, ShareSpec } from "../share-spec.ts";
import type { MountSettings, MovingMounts } from "./moving-mounts.ts";

/** The addresses of a host that are known already; asks no resolver. */
export type AddressesOf = (host: string) => readonly string[];

export interface SmbDriverOptions extends RuntimeTools {
  readonly prober: Prober;
  readonly mountTable: MountTable;
  readonly addressesOf: AddressesOf;
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
  /** Made with other options, or by an older program, than a mount would be made with now. */
  readonly outdated?: true;
  /**
   * Nothing is mounted where this leads: what programs write goes to the local disk. The text says where.
   */
  readonly lost?: string;
  /** Its program moves it to another route. */
  readonly moves?: true;
  /** Made by a driver that the share had earlier: the current configuration does not apply to the mount. */
  readonly former?: true;
}

/** Whether the folder behind a route may be used. */
export type FolderProbe = Pick<ProbeResult, "verdict" | "text"> & Partial<Pick<ProbeResult, "reason">>;

/** How a share is to be mounted by a driver whose mounts can move. */
export interface MountPlan extends Pick<MountSettings, "allowed" | "patienceMs"> {
  readonly signIn: SignIn;
  /** False: the mount stays on its route. */
  readonly moves: boolean;
  /** The share is used on some networks only. */
  readonly onlyOn: boolean;
  /** Log in once, whatever was refused before: a person asked. */
  readonly logInNow: boolean;
  /** The login was just given: refusals of others do not count against it. */
  readonly newPassword?: boolean;
  /** Let another server in than the recorded one: a person asked. */
  readonly newServer: boolean;
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
  | "different_server"
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
  /** Finds all mounts of this share, and any other mount at the share's mount path. Never touches a mount. */
  find(share: ShareSpec, notBeforeMs: number): Promise<readonly FoundMount[]>;
  /** Checks a route's folder; absent: routes have no folders. */
  probeFolder?(share: ShareSpec, folder: string): Promise<FolderProbe>;
  /** Absent: mounts of this driver do not move. */
  readonly moving?: MovingMounts;
  /** How long a mount may take, ms; absent: 20 s. */
  readonly mountDeadlineMs?: number;
  /**
   * Mounts, over `route` first, and proves the mount by a readdir; leaves nothing mounted behind on failure. Each progress
   * restarts the deadline.
   */
  mount(share: ShareSpec, route: RouteName, limits: StepLimits, plan: MountPlan): Promise<MountOutcome>;
  /** `ok`: the mount is gone from the mount table, and its process has ended. */
  unmount(
    share: ShareSpec,
    mount: FoundMount,
    mode: UnmountMode,
    limits: StepLimits,
  ): Promise<UnmountOutcome>;
  /**
   * Folders of this machine with files that programs wrote to this share and that nothing sends to the
   * server. Cheap enough for every check; absent if the driver leaves no such files. Never rejects.
   */
  setAside?(share: ShareSpec): Promise<readonly string[]>;
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
