// Owns mounting SMB shares the way macOS does: by NetFS, at /Volumes/SHARE where the system makes the folder, or at a
// folder of ours. The kernel serves the mount; no process of ours stands behind it.
import { access, lstat, mkdir, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import { ensureFolder } from "../../../runtime/files/durable-file.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { MountTable } from "../../mounts/mount-entry.ts";
import { isUnderLaunchd, meaningOfDenied } from "../../mounts/volume-permission-darwin.ts";
import type { Prober } from "../../prober/prober.ts";
import type { RouteName, ShareSpec } from "../../share-spec.ts";
import { sourceOf } from "../../smb-source.ts";
import type {
  FoundMount,
  MountDriver,
  MountFailure,
  MountOutcome,
  StepLimits,
  Through,
  UnmountMode,
  UnmountOutcome,
} from "../mount-driver.ts";
import { lookAtNewMount } from "../new-mount-look.ts";
import type { AddressesOf } from "../smb-mounts.ts";
import { NETFS_LIBRARIES } from "./binding.ts";
import { type CarryProof, carryRefusal } from "./carry-proof.ts";
import { ALREADY_MOUNTED, meaningOfNetfs } from "./codes.ts";
import { createNetfsMounts, isSamePath } from "./find.ts";
import { type CommandMount, mountByCommand } from "./macos-mount-commands.ts";
import { createMacosUnmount, type MacosUnmountOptions } from "./macos-unmount.ts";
import { createMountTurns } from "./mount-turns.ts";
import { mountByNetfs } from "./process.ts";
import { type NetfsTarget, netfsUrl } from "./url.ts";

interface NetfsDriverOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly prober: Prober;
  readonly mountTable: MountTable;
  readonly addressesOf: AddressesOf;
  /** Whether mounts may be carried on this Mac; absent: they may not. */
  readonly carryProof?: () => Promise<CarryProof>;
  /** Default: macOS's own. */
  readonly tools?: NetfsTools;
}

export interface NetfsTools {
  /** Where macOS makes the folder by itself and names it after the share. */
  readonly volumes: string;
  /** null: it is macOS. */
  readonly unavailable: () => Promise<{ readonly text: string; readonly hint: string } | null>;
  readonly netfs: typeof mountByNetfs;
  readonly byCommand: typeof mountByCommand;
  readonly unmountCommands?: NonNullable<MacosUnmountOptions["commands"]>;
}

const MACOS: NetfsTools = {
  volumes: "/Volumes",
  unavailable: async () => {
    try {
      await access(dirname(NETFS_LIBRARIES.netfs));
      return null;
    } catch {
      return { text: "NetFS is macOS's", hint: 'set driver = "rclone"' };
    }
  },
  netfs: mountByNetfs,
  byCommand: mountByCommand,
};

/** Each look asks for a name that nobody has asked for, so no memory can answer it. */
const CACHE_MS = 0;
const TABLE_POLL_MS = 20;
/** NetFS answers when the mount stands; the table shows it at once, or something is wrong. */
const IN_TABLE_MS = 2_000;
/** How long a new mount may take to answer before it counts as made all the same. */
const PROVE_MS = 5_000;
/** For undoing a mount that failed, beyond the step's own deadline. */
const UNDO_MS = 3_000;

const NO_PROOF: CarryProof = { proved: false, reason: "nothing proves it" };

type Failed = Extract<MountOutcome, { ok: false }>;

interface Asked {
  readonly ok: true;
  /** Where macOS says that it is; null where it does not say. */
  readonly path: string | null;
  /** It was mounted before we asked, by whomever. */
  readonly existed: boolean;
}

export function createNetfsDriver(options: NetfsDriverOptions): MountDriver {
  const { clock, logger, prober, mountTable, addressesOf, tools = MACOS } = options;
  const { volumes, unmountCommands } = tools;
  const unmount = createMacosUnmount({
    clock,
    mountTable,
    ...(unmountCommands === undefined ? {} : { commands: unmountCommands }),
  });
  const mounts = createNetfsMounts({ prober, mountTable, addressesOf, volumes });
  const { isSystemNamed, pathOf, standsAt, find } = mounts;
  const requests = createNetfsRequests({ clock, logger, tools });
  const attempts = createNetfsAttempts({
    clock,
    logger,
    prober,
    unmount,
    isSystemNamed,
    standsAt,
    find,
    requests,
  });

  return {
    name: "netfs",
    cacheMs: CACHE_MS,
    mayWaitForPermission: true,
    unavailable: tools.unavailable,
    find,
    carries: { can: true, refusal: async () => carryRefusal((await options.carryProof?.()) ?? NO_PROOF) },
    async mount(wanted, route, limits, through = null) {
      const share = through === null ? wanted : throughPort(wanted, route, through);
      const problem = await tools.unavailable();
      if (problem !== null) return failed("driver_unavailable", problem.text);
      if (limits.signal.aborted) return failed("other", "cancelled");
      const source = sourceOf(wanted.routes[route], wanted.shareName);
      try {
        if (!isSystemNamed(share)) await ensureFolder(dirname(share.mountPath), 0o755);
        const path = await pathOf(share);
        const present = (await find(share, clock.monotonicMs())).find((mount) =>
          standsAt(share, path, mount),
        );
        if (present?.sameShare) return { ok: true, mount: present, adopted: true };
        if (present !== undefined) return taken(path, `a mount of ${present.source}`);
        const outcome = await attempts.attempt(share, route, path, limits);
        return outcome.ok ? outcome : { ...outcome, text: `${source}: ${outcome.text}` };
      } catch (error) {
        return failed(reasonOf(error), `${source}: ${errorText(error)}`);
      }
    },
    async unmount(share, mount, mode, limits) {
      const outcome = await unmount(mount, mode, limits);
      if (!outcome.ok) {
        // The one who holds it may be our own look that waits in it.
        const hangs = outcome.reason === "busy" && prober.lastLook(mount.id).state === "pending";
        return hangs ? { ...outcome, text: "the mount does not answer, --force unmounts it" } : outcome;
      }
      prober.forget(mount.id);
      // Under /Volumes the system removes its own.
      if (dirname(mount.path) !== volumes && mount.path === share.mountPath)
        await rmdir(mount.path).catch(() => {});
      return outcome;
    },
    // The kernel's client writes back by itself, and a plain unmount waits for it.
    unsent: () => Promise.resolve([]),
    ownProcesses: () => Promise.resolve([]),
    openFilesPath: mounts.openFilesPath,
  };
}

interface NetfsAttemptsParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly prober: Prober;
  readonly unmount: (
    mount: { readonly id: string; readonly path: string },
    mode: UnmountMode,
    limits: StepLimits,
  ) => Promise<UnmountOutcome>;
  readonly isSystemNamed: (share: ShareSpec) => boolean;
  readonly standsAt: (share: ShareSpec, path: string, mount: FoundMount) => boolean;
  readonly find: (share: ShareSpec, notBeforeMs: number) => Promise<readonly FoundMount[]>;
  readonly requests: ReturnType<typeof createNetfsRequests>;
}

/** One try to mount, which leaves nothing of itself when it fails. */
function createNetfsAttempts({
  clock,
  logger,
  prober,
  unmount,
  isSystemNamed,
  standsAt,
  find,
  requests,
}: NetfsAttemptsParts) {
  const makeWay = async (share: ShareSpec, path: string): Promise<Failed | null> => {
    let stats: Awaited<ReturnType<typeof lstat>>;
    try {
      stats = await lstat(path);
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return null;
      throw error;
    }
    if (!stats.isDirectory()) return taken(path, stats.isSymbolicLink() ? "a link" : "a file");
    try {
      await rmdir(path);
      return null;
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === "ENOENT") return null;
      if (code === "EACCES" || code === "EPERM") {
        // What a failed mount leaves is root's, and with it in the way macOS would mount at `NAME-1`.
        return isSystemNamed(share)
          ? taken(path, `a folder that is not ours; when it is empty: sudo rmdir '${path}'`)
          : failed("permission_denied", `${path}: ${errorText(error)}`);
      }
      if (code === "ENOTEMPTY" || code === "EEXIST") return taken(path, "a folder with something in it");
      throw error;
    }
  };

  const untilFound = async (share: ShareSpec, path: string, at: string): Promise<FoundMount | null> => {
    const untilMs = clock.monotonicMs() + IN_TABLE_MS;
    for (;;) {
      const present = await find(share, clock.monotonicMs());
      const mount = present.find((one) =>
        isSamePath(at, path) ? standsAt(share, path, one) : isSamePath(one.path, at),
      );
      if (mount !== undefined) return mount;
      if (clock.monotonicMs() >= untilMs) return null;
      await clock.sleep(TABLE_POLL_MS);
    }
  };

  const prove = async (mount: FoundMount, untilMs: number, signal: AbortSignal): Promise<Failed | null> => {
    const waitMs = Math.min(PROVE_MS, untilMs - clock.monotonicMs());
    const look = await lookAtNewMount(prober, mount, waitMs, signal);
    if (look === null) return failed("other", "cancelled");
    if (look.state !== "answered") {
      // macOS made the mount, so the server let us in. What waits may be a dialog, which undoing would only ask anew.
      logger.warn("the new mount does not answer yet", { path: mount.path });
      return null;
    }
    // It stands: what is missing is a permission, which the condition of its looks tells.
    if (look.errno === null) return null;
    const denied = meaningOfDenied(look.errno, mount.path, isUnderLaunchd(process.env, process.ppid));
    if (denied !== null) {
      logger.warn("the mount may not be read", { path: mount.path, reason: denied.title, hint: denied.hint });
      return null;
    }
    return failed("other", `the share does not list (${look.errno})`);
  };

  const undo = async (mount: FoundMount): Promise<void> => {
    const limits = { deadlineMs: UNDO_MS, signal: new AbortController().signal };
    const undone = await unmount(mount, "force", limits);
    prober.forget(mount.id);
    if (!undone.ok) logger.warn("failed mount not undone", { path: mount.path, reason: undone.text });
  };

  const attempt = async (
    share: ShareSpec,
    route: RouteName,
    path: string,
    limits: StepLimits,
  ): Promise<MountOutcome> => {
    const untilMs = clock.monotonicMs() + limits.deadlineMs;
    const inTheWay = await makeWay(share, path);
    if (inTheWay !== null) return inTheWay;
    const folder = isSystemNamed(share) ? null : path;
    if (folder !== null) await mkdir(folder, { mode: 0o700 });
    let failure: Failed;
    let made: FoundMount | null = null;
    /** Given up while it was under way: it may have got through all the same. */
    let givenUp = false;
    try {
      const asked = await requests.ask(share, route, folder, limits);
      if (asked.ok) {
        const mount = await untilFound(share, path, asked.path ?? path);
        if (mount?.sameShare && asked.existed) {
          if (folder !== null && !standsAt(share, path, mount)) await rmdir(folder).catch(() => {});
          return { ok: true, mount, adopted: true };
        }
        // What is not this share is not ours to undo, nor what was there before.
        made = mount?.sameShare && !asked.existed ? mount : null;
        const wrong = await whatIsWrong(share, path, mount, untilMs, limits.signal);
        if (wrong === null && mount !== null) return { ok: true, mount, adopted: false };
        failure = wrong ?? failed("other", "the mount vanished at once");
      } else {
        failure = asked;
        givenUp = asked.reason === "timed_out";
      }
    } catch (error) {
      givenUp = true;
      failure = failed("other", errorText(error));
    }
    if (givenUp) {
      const late = (await find(share, clock.monotonicMs())).find((one) => standsAt(share, path, one));
      made = late?.sameShare ? late : null;
    }
    if (made !== null) await undo(made);
    if (folder !== null) await rmdir(folder).catch(() => {});
    return failure;
  };
  const whatIsWrong = async (
    share: ShareSpec,
    path: string,
    mount: FoundMount | null,
    untilMs: number,
    signal: AbortSignal,
  ): Promise<Failed | null> => {
    if (mount === null) return failed("other", `macOS mounted it, but ${path} is in no table`);
    if (!mount.sameShare) return taken(mount.path, `a mount of ${mount.source}`);
    if (!standsAt(share, path, mount)) return taken(path, `in use: macOS mounted at ${mount.path}`);
    return prove(mount, untilMs, signal);
  };

  return { attempt };
}

interface NetfsRequestsParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly tools: NetfsTools;
}

/** Asks the system for mounts: one process at a time for each server. */
function createNetfsRequests({ clock, logger, tools }: NetfsRequestsParts) {
  // Several mounts of one server at once are reported to bring macOS down.
  const turns = createMountTurns(clock);

  /** Asks macOS to mount, when no other mount of that host is under way. */
  const ask = async (
    share: ShareSpec,
    route: RouteName,
    folder: string | null,
    { deadlineMs, signal }: StepLimits,
  ): Promise<Asked | Failed> => {
    const { host, port } = share.routes[route];
    if (host === null) return failed("other", `route ${route} has no host`);
    const untilMs = clock.monotonicMs() + deadlineMs;
    const asked = await turns.take(host.toLowerCase(), { waitMs: deadlineMs, signal }, () =>
      askNow(share, { host, port }, folder, { deadlineMs: untilMs - clock.monotonicMs(), signal }),
    );
    return asked ?? failed("other", `other mounts of ${host} took all the time there was`);
  };
  /** The path that macOS gave, or null where it is to be looked up. */
  const askNow = async (
    share: ShareSpec,
    { host, port }: Pick<NetfsTarget, "host" | "port">,
    folder: string | null,
    limits: StepLimits,
  ): Promise<Asked | Failed> => {
    const guest = share.password === null && /^(guest)?$/i.test(share.username);
    const target = { host, port, shareName: share.shareName, username: guest ? null : share.username };
    const step = { clock, deadlineMs: limits.deadlineMs, signal: limits.signal };
    const outcome = await tools.netfs(
      { url: netfsUrl(target), folder, username: target.username, password: share.password, guest },
      step,
    );
    if (outcome.kind === "unavailable") {
      logger.warn("NetFS cannot be called; a command mounts instead", {
        share: share.name,
        error: outcome.text,
      });
      const mount: CommandMount = { ...target, password: share.password, folder };
      const byCommand = await tools.byCommand(mount, step);
      return byCommand.ok
        ? { ok: true, path: folder, existed: false }
        : failed(byCommand.reason, byCommand.text);
    }
    if (outcome.kind === "timed_out") return failed("timed_out", outcome.text);
    if (outcome.kind === "failed") return failed("other", outcome.text);
    if (outcome.status === 0 || outcome.status === ALREADY_MOUNTED) {
      const [path = null] = outcome.mountPoints;
      const existed = outcome.status === ALREADY_MOUNTED;
      if (!existed || path !== null) return { ok: true, path, existed };
    }
    const { reason, text, hint } = meaningOfNetfs(outcome.status);
    return failed(reason, `${text} (${outcome.status})${hint === null ? "" : `; ${hint}`}`);
  };

  return { ask };
}

/** Reached by the port of this machine, over which the carrier answers. */
function throughPort(share: ShareSpec, route: RouteName, { port }: Through): ShareSpec {
  const carried = { ...share.routes[route], host: "127.0.0.1", port };
  return { ...share, routes: { ...share.routes, [route]: carried } };
}

function failed(reason: MountFailure, text: string): Failed {
  return { ok: false, reason, text };
}

function taken(path: string, by: string): Failed {
  return failed("path_taken", `${path} is ${by}`);
}

function reasonOf(error: unknown): MountFailure {
  const code = systemErrorCode(error);
  return code === "EACCES" || code === "EPERM" || code === "EROFS" ? "permission_denied" : "other";
}
