// Owns mounting SMB shares with the Linux kernel's own client: fast, by root or as fstab lets users. The kernel serves
// the mount; no process of ours stands behind it.
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import { ensureFolder } from "../../../runtime/files/durable-file.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import { runCommand } from "../../../runtime/process/child-process.ts";
import { findProgram } from "../../../runtime/process/find-program.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { MountTable } from "../../mounts/mount-entry.ts";
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
import { createMountFolders, type MountFolders } from "../mount-folder.ts";
import { lookAtNewMount } from "../new-mount-look.ts";
import { rcloneFiles } from "../rclone/files.ts";
import { createUnsentWrites } from "../rclone/unsent.ts";
import { createRealMountPaths } from "../real-mount-paths.ts";
import { type ShareFiles, shareFiles } from "../share-files.ts";
import { type AddressesOf, indexMounts } from "../smb-mounts.ts";
import { runUnmount } from "../unmount-command.ts";
import { meaningOfMountCifs, tellingLine } from "./codes.ts";
import { foundCifs, namesThisMachine } from "./found.ts";
import { type CifsNote, type CifsNotes, createCifsNotes } from "./note.ts";
import { CARRIED_ADDRESS, cifsEnvironment, cifsOptions, cifsSource, unspeakable } from "./options.ts";
import { createCifsUnmount } from "./unmount.ts";
import {
  accountInFstab,
  type CifsTools,
  type CifsWay,
  fixedPortOf,
  lackingForCifs,
  lackingForShare,
  readFstab,
  refusalToCarry,
  systemTools,
  type WayTo,
  wayToMount,
} from "./way.ts";

interface CifsDriverOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly prober: Prober;
  readonly mountTable: MountTable;
  /** Holds a folder per share, `mounts/<NAME>`: what was mounted, and what was set aside. */
  readonly stateFolder: string;
  /** Addresses of a host that are known now; asks nobody. */
  readonly addressesOf: AddressesOf;
  /** Default: this machine's own. */
  readonly tools?: CifsTools;
}

/** Of attributes (`actimeo`). Listings come from the server each time. */
const CACHE_MS = 1_000;
/** For undoing a mount that failed, beyond the step's own deadline. */
const UNDO_MS = 3_000;

type Failed = Extract<MountOutcome, { ok: false }>;

export function createCifsDriver(options: CifsDriverOptions): MountDriver {
  const { clock, logger, prober, mountTable, stateFolder, addressesOf, tools = systemTools() } = options;
  const folders = createMountFolders({ clock, logger });
  const notes = createCifsNotes();
  const unsentOfRclone = createUnsentWrites();
  const program = async (): Promise<string> =>
    (await findProgram("umount", tools.programFolders)) ?? "umount";
  const unmountKernels = createCifsUnmount({ clock, mountTable, program });
  const realPaths = createRealMountPaths(prober);
  const filesOf = ({ name }: ShareSpec) => shareFiles(stateFolder, name);
  const noteOf = (share: ShareSpec): Promise<CifsNote | null> => notes.read(filesOf(share).folder);

  /** As the mount table spells it. */
  const pathOf = ({ mountPath }: ShareSpec): Promise<string> => realPaths.find(mountPath);

  const wayTo = async (share: ShareSpec): Promise<WayTo> => ({
    tools,
    share,
    path: await pathOf(share),
    addressesOf,
  });

  const find = async (share: ShareSpec, notBeforeMs: number): Promise<readonly FoundMount[]> => {
    const [path, note, entries] = await Promise.all([
      pathOf(share),
      noteOf(share),
      mountTable.read(notBeforeMs),
    ]);
    const index = indexMounts(entries);
    const atPath = index.at(path);
    const mounts = [...(atPath === null ? [] : [atPath]), ...index.named(share.shareName)];
    const fstab = mounts.some(namesThisMachine) ? await readFstab(tools.fstab) : [];
    const known = { path, note, fstab, addressesOf, userId: tools.userId };
    const others = index
      .named(share.shareName)
      .filter((mount) => mount !== atPath)
      .map((mount) => foundCifs(share, mount, known))
      // A share of that name on a server that is not ours is another share, unless it stands in our place; and another
      // user's is one that we can never look into.
      .filter(({ route, sameShare }) => route !== null && sameShare);
    return atPath === null ? others : [foundCifs(share, atPath, known), ...others];
  };

  const standingAt = async (share: ShareSpec): Promise<FoundMount | null> =>
    (await find(share, clock.monotonicMs())).find(({ path }) => path === share.mountPath) ?? null;
  const attempts = createCifsAttempts({
    clock,
    logger,
    prober,
    addressesOf,
    folders,
    notes,
    unmountKernels,
    filesOf,
    pathOf,
    standingAt,
  });

  return {
    name: "cifs",
    cacheMs: CACHE_MS,
    unavailable: async (share) =>
      share === undefined ? lackingForCifs(tools) : lackingForShare(await wayTo(share)),
    carries: {
      can: true,
      fixedPort: async (share) => fixedPortOf(await wayTo(share)),
      refusal: async (share) => refusalToCarry(await wayTo(share)),
      account: async (share) => accountInFstab(await wayTo(share)),
    },
    find,
    async mount(share, asked, limits, through = null) {
      if (limits.signal.aborted) return failed("other", "cancelled");
      // A carried mount is shown as the preferred host's, wherever its bytes go.
      const route = through === null ? asked : "tb";
      const source = sourceOf(share.routes[route], share.shareName);
      try {
        const present = await standingAt(share);
        if (present?.sameShare) return { ok: true, mount: present, adopted: true };
        if (present !== null) {
          return failed("path_taken", `${share.mountPath} is a mount of ${present.source}`);
        }
        const unfit = unspeakable(share);
        if (unfit !== null) return failed("other", `${source}: ${unfit}; set driver = "rclone"`);
        const way = await wayToMount(await wayTo(share), route, through);
        if (way.kind === "none") {
          return failed("driver_unavailable", `${way.lacking.text}; ${way.lacking.hint}`);
        }
        await ensureFolder(dirname(share.mountPath), 0o755);
        const outcome = await attempts.attempt(share, route, await pathOf(share), way, limits, through);
        return outcome.ok
          ? outcome
          : { ...outcome, text: withoutSecret(`${source}: ${outcome.text}`, share) };
      } catch (error) {
        return failedBy(error, share.password);
      }
    },
    async unmount(share, mount, mode, limits) {
      const isShares = mount.path === share.mountPath;
      const path = isShares ? await pathOf(share) : mount.path;
      const entry = (await mountTable.read(clock.monotonicMs())).find(({ id }) => id === mount.id);
      if (entry?.type.startsWith("fuse")) {
        const lazy = mode === "force";
        const attempted = await runUnmount(entry, { clock, deadlineMs: limits.deadlineMs, lazy });
        if (attempted.result === "busy") return { ok: false, reason: "busy", text: attempted.text };
        if (attempted.result === "failed") return { ok: false, reason: "failed", text: attempted.text };
      }
      const outcome = await unmountKernels({ id: mount.id, path }, mode, limits);
      if (!outcome.ok) {
        // The one who holds it may be our own look that waits in it.
        const hangs = outcome.reason === "busy" && prober.lastLook(mount.id).state === "pending";
        return hangs ? { ...outcome, text: "the mount does not answer, --force unmounts it" } : outcome;
      }
      prober.forget(mount.id);
      await folders.clear(share.name, filesOf(share), path, isShares);
      return outcome;
    },
    async setAside(share) {
      const kept = await folders.setAside(share.name, filesOf(share));
      return kept.map((folder) => ({ folder, files: [] }));
    },
    async unsent(share) {
      // The kernel writes back by itself, and a plain unmount waits for it; rclone's mount of before keeps a cache.
      const atPath = indexMounts(await mountTable.read(0)).at(await pathOf(share));
      if (atPath?.entry.type !== "fuse.rclone") return [];
      return unsentOfRclone.of(rcloneFiles(stateFolder, share.name).cache, share.shareName);
    },
    ownProcesses: () => Promise.resolve([]),
    openFilesPath: ({ path }) => realPaths.known(path),
  };
}

interface CifsAttemptsParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly prober: Prober;
  readonly addressesOf: AddressesOf;
  readonly folders: MountFolders;
  readonly notes: CifsNotes;
  readonly unmountKernels: (
    { id, path }: { readonly id: string; readonly path: string },
    mode: UnmountMode,
    { deadlineMs, signal }: StepLimits,
  ) => Promise<UnmountOutcome>;
  readonly filesOf: (arg0: ShareSpec) => ShareFiles;
  readonly pathOf: (arg0: ShareSpec) => Promise<string>;
  readonly standingAt: (share: ShareSpec) => Promise<FoundMount | null>;
}

/** One try to mount, which leaves nothing of itself when it fails. */
function createCifsAttempts({
  clock,
  logger,
  prober,
  addressesOf,
  folders,
  notes,
  unmountKernels,
  filesOf,
  pathOf,
  standingAt,
}: CifsAttemptsParts) {
  /** Runs the one command that mounts; null: it says that it did. */
  const ask = async (
    share: ShareSpec,
    route: RouteName,
    path: string,
    way: Exclude<CifsWay, { kind: "none" }>,
    { deadlineMs, signal }: StepLimits,
    through: Through | null,
  ): Promise<Failed | null> => {
    const spec = share.routes[route];
    let args: readonly string[] = ["--", way.kind === "fstab" ? way.operand : ""];
    if (way.kind === "root") {
      const { uid, gid } = await stat(dirname(path));
      const [address = null] = spec.host === null ? [] : addressesOf(spec.host);
      const words = cifsOptions({ share, route: spec, address, owner: { uid, gid }, carried: through });
      args = [sourceToMount(share, route, through), path, "-o", words];
    }
    // Where fstab says who to be, it says so alone.
    const env = way.kind === "fstab" && way.entry.hasCredentials ? {} : cifsEnvironment(share);
    const result = await runCommand(way.program, args, {
      clock,
      deadlineMs,
      signal,
      // mount starts mount.cifs.
      killGroup: true,
      killGraceMs: 0,
      env: { LC_ALL: "C", ...env },
    });
    if (result.timedOut) return failed("timed_out", "the kernel did not mount it in time");
    if (result.exitCode === 0) return null;
    const output = result.stderr || result.stdout;
    const { reason, text, hint } = meaningOfMountCifs(result.exitCode, output);
    const said = tellingLine(output);
    return failed(reason, `${text}${said === "" ? "" : ` (${said})`}${hint === null ? "" : `; ${hint}`}`);
  };

  /** The kernel has talked to the server; that it lists, too, only a listing proves. */
  const prove = async (mount: FoundMount, untilMs: number, signal: AbortSignal): Promise<Failed | null> => {
    const look = await lookAtNewMount(prober, mount, untilMs - clock.monotonicMs(), signal);
    if (look === null) return failed("other", "cancelled");
    if (look.state !== "answered") return failed("timed_out", "the share did not list in time");
    // It stands: what is missing is a permission, which the condition of its looks tells.
    if (look.errno === null || look.errno === "EPERM" || look.errno === "EACCES") return null;
    return failed("other", `the share does not list (${look.errno})`);
  };

  /** Only what we made: what came to stand there meanwhile is somebody's. */
  const undo = async (share: ShareSpec): Promise<void> => {
    const made = await standingAt(share);
    if (made?.madeByDriver !== true) return;
    const limits = { deadlineMs: UNDO_MS, signal: new AbortController().signal };
    const undone = await unmountKernels({ id: made.id, path: await pathOf(share) }, "force", limits);
    prober.forget(made.id);
    if (!undone.ok) logger.warn("failed mount not undone", { share: share.name, reason: undone.text });
  };

  const attempt = async (
    share: ShareSpec,
    route: RouteName,
    path: string,
    way: Exclude<CifsWay, { kind: "none" }>,
    limits: StepLimits,
    through: Through | null,
  ): Promise<MountOutcome> => {
    const untilMs = clock.monotonicMs() + limits.deadlineMs;
    const files = filesOf(share);
    let failure: Failed;
    try {
      const spec = share.routes[route];
      const source = way.kind === "root" ? sourceToMount(share, route, through) : way.entry.source;
      await ensureFolder(files.folder, 0o700);
      // Before the mount: a crash in between leaves a note of what is not there, which does no harm.
      const carried = through === null ? null : { port: through.port, host: spec.host ?? "" };
      await notes.write(files.folder, { path, source, port: spec.port, carried });
      // As late as can be: until it is mounted, programs write into it.
      const folder = await folders.ensure(share.name, files, path);
      if (!folder.ok) return folder;
      await using bare = folder.bare;
      const refused = await ask(share, route, path, way, limits, through);
      const mount = await standingAt(share);
      if (mount?.sameShare) {
        // Whatever the command says: what stands there is the share.
        await folders.uncover(share.name, files, path, bare);
        const broken = await prove(mount, untilMs, limits.signal);
        if (broken === null) return { ok: true, mount, adopted: refused !== null };
        failure = refused ?? broken;
      } else {
        failure = refused ?? failed("other", "the mount vanished at once");
      }
    } catch (error) {
      failure = failedBy(error, share.password);
    }
    await undo(share);
    await folders.clear(share.name, files, path, true);
    return failure;
  };

  return { attempt };
}

function sourceToMount(share: ShareSpec, route: RouteName, through: Through | null): string {
  const host = through === null ? share.routes[route].host : CARRIED_ADDRESS;
  return cifsSource({ host }, share.shareName);
}

function failed(reason: MountFailure, text: string): Failed {
  return { ok: false, reason, text };
}

function failedBy(error: unknown, password: string | null): Failed {
  const code = systemErrorCode(error);
  const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
  return failed(denied ? "permission_denied" : "other", withoutSecret(errorText(error), { password }));
}

function withoutSecret(text: string, { password }: Pick<ShareSpec, "password">): string {
  return password === null || password === "" ? text : text.replaceAll(password, "…");
}
