// The driver for the Linux kernel's own SMB client: fast, as root or where fstab lets users mount. The kernel serves
// the mount; Mountaineer runs no process for it.

import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { ensureFolder } from "../../../runtime/files/durable-file.ts";
import { runCommand } from "../../../runtime/process/child-process.ts";
import { findProgram } from "../../../runtime/process/find-program.ts";
import type { RouteName, ShareSpec } from "../../share-spec.ts";
import { RELAY_ADDRESS, sourceOf } from "../../smb-source.ts";
import type {
  FoundMount,
  MountDriver,
  MountOutcome,
  RelayAddress,
  SmbDriverOptions,
} from "../mount-driver.ts";
import { type Failed, failed, failedBy, orHanging, whyNotListed, withoutSecret } from "../mount-failure.ts";
import { createMountFolders, type MountFolders } from "../mount-folder.ts";
import { createUnsentOfRcloneMount } from "../rclone/unsent-left-behind.ts";
import { type ShareLocation, shareFiles } from "../share-files.ts";
import { concerns, createRealMountPaths, indexMounts } from "../smb-mounts.ts";
import { createUnmount, type Unmount, undoMount, unmountCommand } from "../unmount.ts";
import { failedByMountCifs } from "./codes.ts";
import { foundCifs, namesThisMachine } from "./found.ts";
import {
  accountInFstab,
  type CifsTools,
  chooseMountMethod,
  cifsRequirement,
  fixedPortOf,
  type MountMethod,
  type MountMethodFor,
  readFstab,
  relayObstacle,
  shareRequirement,
  systemTools,
} from "./mount-method.ts";
import { readCifsRecord, writeCifsRecord } from "./mount-record.ts";
import { cifsEnvironment, cifsOptions, cifsSource, unspeakable } from "./options.ts";

interface CifsDriverOptions extends SmbDriverOptions {
  /**
   * Holds a folder for each share, `mounts/<NAME>`, with a note about its mount and with files that were set
   * aside.
   */
  readonly stateFolder: string;
  /** The system's programs and files; default: those of this machine. */
  readonly tools?: CifsTools;
}

/** The kernel caches attributes this long (`actimeo`); listings come from the server each time. */
const CACHE_MS = 1_000;

export function createCifsDriver(options: CifsDriverOptions): MountDriver {
  const { clock, logger, prober, mountTable, stateFolder, addressesOf, tools = systemTools() } = options;
  const folders = createMountFolders({ clock, logger });
  const unsentOfRclone = createUnsentOfRcloneMount({ mountTable, stateFolder });
  const realPaths = createRealMountPaths(prober);
  const locationOf = async ({ name, mountPath }: ShareSpec): Promise<ShareLocation> => ({
    shareName: name,
    files: shareFiles(stateFolder, name),
    mountPath: await realPaths.find(mountPath),
  });
  const mountMethodFor = async (share: ShareSpec): Promise<MountMethodFor> => ({
    tools,
    share,
    path: await realPaths.find(share.mountPath),
    addressesOf,
  });
  const find = createCifsFinding({ ...options, tools }, locationOf);
  const mountAt = async (share: ShareSpec): Promise<FoundMount | null> =>
    (await find(share, clock.monotonicMs())).find(({ path }) => path === share.mountPath) ?? null;
  const unmount = createCifsUnmount(options, tools.programFolders);
  const attemptTools = { ...options, folders, unmount, mountAt };

  return {
    name: "cifs",
    cacheMs: CACHE_MS,
    missingRequirement: async (share) =>
      share === undefined ? cifsRequirement(tools) : shareRequirement(await mountMethodFor(share)),
    relaying: {
      fixedPort: async (share) => fixedPortOf(await mountMethodFor(share)),
      refusal: async (share) => relayObstacle(await mountMethodFor(share)),
      account: async (share) => accountInFstab(await mountMethodFor(share)),
    },
    find,
    async mount(share, requestedRoute, { deadlineMs, signal }, through = null) {
      if (signal.aborted) return failed("other", "cancelled");
      // A relayed mount has the preferred host as its source, whichever route its bytes take.
      const route = through === null ? requestedRoute : "tb";
      const source = sourceOf(share.routes[route], share.shareName);
      try {
        const present = await mountAt(share);
        if (present?.sameShare) return { ok: true, mount: present, adopted: true };
        if (present !== null)
          return failed("path_taken", `${share.mountPath} is a mount of ${present.source}`);
        const unfit = unspeakable(share);
        if (unfit !== null) return failed("other", `${source}: ${unfit}; set driver = "rclone"`);
        const method = await chooseMountMethod(await mountMethodFor(share), route, through);
        if (method.kind === "none")
          return failed("driver_unavailable", `${method.missing.text}; ${method.missing.hint}`);
        await ensureFolder(dirname(share.mountPath), 0o755);
        const untilMs = clock.monotonicMs() + deadlineMs;
        const attempt = { share, location: await locationOf(share), route, through, method, untilMs, signal };
        const outcome = await attemptMount(attemptTools, attempt);
        if (outcome.ok) return outcome;
        return { ...outcome, text: withoutSecret(`${source}: ${outcome.text}`, share.password) };
      } catch (error) {
        return failedBy(error, share.password);
      }
    },
    async unmount(share, mount, mode, limits) {
      const isShares = mount.path === share.mountPath;
      const own = await locationOf(share);
      const location = isShares ? own : { ...own, mountPath: mount.path };
      const outcome = await unmount(mount, mode, limits);
      if (!outcome.ok) return orHanging(prober, mount, outcome);
      prober.forget(mount.id);
      await folders.clear(location, isShares);
      return outcome;
    },
    async setAside({ name }) {
      const asideFolders = await folders.setAside({ shareName: name, files: shareFiles(stateFolder, name) });
      return asideFolders.map((folder) => ({ folder, files: [] }));
    },
    async unsent(share) {
      // The kernel writes back unasked, and a plain unmount waits for it.
      return unsentOfRclone(share, await realPaths.find(share.mountPath));
    },
    ownProcesses: () => Promise.resolve([]),
    openFilesPath: ({ path }) => realPaths.known(path),
  };
}

function createCifsFinding(
  { mountTable, addressesOf, tools }: CifsDriverOptions & { readonly tools: CifsTools },
  locationOf: (share: ShareSpec) => Promise<ShareLocation>,
): MountDriver["find"] {
  return async (share, notBeforeMs) => {
    const { files, mountPath: path } = await locationOf(share);
    const [record, entries] = await Promise.all([readCifsRecord(files.folder), mountTable.read(notBeforeMs)]);
    const index = indexMounts(entries);
    const atPath = index.at(path);
    // If the configuration was edited since the mount, the mount is still at its earlier path.
    const recorded = index.at(record?.path ?? path);
    const all = new Set(
      [atPath, recorded, ...index.named(share.shareName)].filter((mount) => mount !== null),
    );
    const mounts = [...all];
    const fstab = mounts.some(namesThisMachine) ? await readFstab(tools.fstab) : [];
    const known = { path, record, fstab, addressesOf, userId: tools.userId };
    return mounts.map((mount) => foundCifs(share, mount, known)).filter((mount) => concerns(share, mount));
  };
}

interface AttemptTools extends Pick<CifsDriverOptions, "clock" | "logger" | "prober" | "addressesOf"> {
  readonly folders: MountFolders;
  readonly unmount: Unmount;
  readonly mountAt: (share: ShareSpec) => Promise<FoundMount | null>;
}

interface Attempt {
  readonly share: ShareSpec;
  readonly location: ShareLocation;
  readonly route: RouteName;
  readonly through: RelayAddress | null;
  readonly method: Exclude<MountMethod, { kind: "none" }>;
  /** Monotonic ms. */
  readonly untilMs: number;
  readonly signal: AbortSignal;
}

/** One attempt to mount, which leaves nothing behind when it fails. */
async function attemptMount(tools: AttemptTools, attempt: Attempt): Promise<MountOutcome> {
  const { folders, mountAt } = tools;
  const { share, location, route, through, method } = attempt;
  const { files, mountPath: path } = location;
  let failure: Failed;
  try {
    const { host, port } = share.routes[route];
    const source = method.kind === "root" ? sourceToMount(share, route, through) : method.entry.source;
    await ensureFolder(files.folder, 0o700);
    // The note comes before the mount: after a crash in between, a note about a missing mount is harmless.
    const relay = through === null ? null : { port: through.port, host: host ?? "" };
    await writeCifsRecord(files.folder, { path, source, port, carried: relay });
    // The folder is made as late as possible, because programs can write into it until the share is mounted.
    const folder = await folders.ensure(location);
    if (!folder.ok) return folder;
    await using bare = folder.bare;
    const refused = await runMount(tools, attempt);
    const mount = await mountAt(share);
    if (mount?.sameShare) {
      // The mount table shows the share, so it is mounted even if the command reported a failure.
      await folders.uncover(location, bare);
      // A missing permission does not fail the mount: the next check reports it as a condition.
      const broken = await whyNotListed(tools, mount, { ...attempt, tolerated: ["EPERM", "EACCES"] });
      if (broken === null) return { ok: true, mount, adopted: refused !== null };
      failure = refused ?? broken;
    } else {
      failure = refused ?? failed("other", "the mount vanished at once");
    }
  } catch (error) {
    failure = failedBy(error, share.password);
  }
  const made = await mountAt(share);
  // A mount that another program has made since is not ours to undo.
  if (made?.madeByDriver) await undoMount(tools, made);
  await folders.clear(location, true);
  return failure;
}

/** Runs the mount command. Resolves with null if the command reported success. */
async function runMount(
  { clock, addressesOf }: AttemptTools,
  { share, location, route, through, method, untilMs, signal }: Attempt,
): Promise<Failed | null> {
  const spec = share.routes[route];
  const path = location.mountPath;
  let args: readonly string[] = ["--", method.kind === "fstab" ? method.operand : ""];
  if (method.kind === "root") {
    const { uid, gid } = await stat(dirname(path));
    const [address = null] = spec.host === null ? [] : addressesOf(spec.host);
    const optionText = cifsOptions({ share, route: spec, address, owner: { uid, gid }, relay: through });
    args = [sourceToMount(share, route, through), path, "-o", optionText];
  }
  // An account in fstab replaces the configured one.
  const env = method.kind === "fstab" && method.entry.hasCredentials ? {} : cifsEnvironment(share);
  const result = await runCommand(method.program, args, {
    clock,
    deadlineMs: Math.max(1, untilMs - clock.monotonicMs()),
    signal,
    // A timeout kills the whole process group, because mount starts mount.cifs.
    killGroup: true,
    killGraceMs: 0,
    env: { LC_ALL: "C", ...env },
  });
  if (result.timedOut) return failed("timed_out", "the kernel did not mount it in time");
  if (result.exitCode === 0) return null;
  return failedByMountCifs(result.exitCode, result.stderr || result.stdout);
}

function sourceToMount(share: ShareSpec, route: RouteName, through: RelayAddress | null): string {
  return cifsSource(through === null ? share.routes[route] : { host: RELAY_ADDRESS }, share.shareName);
}

/**
 * The flags of `umount` for each attempt. The first forced attempt releases the programs that wait for the server,
 * and detaches the mount even if it is in use; the second attempt only detaches it.
 */
const FLAGS = { plain: [[]], force: [["-f", "-l"], ["-l"]] } as const;
/**
 * Deadline of an unmount, ms. A forced unmount does not contact the server, so after this time it hangs. A
 * plain one may take any time, because it first sends unsent data.
 */
const AT_MOST_MS = { plain: Number.POSITIVE_INFINITY, force: 2_000 } as const;

function createCifsUnmount(
  { clock, mountTable }: CifsDriverOptions,
  programFolders: readonly string[],
): Unmount {
  return createUnmount({
    clock,
    mountTable,
    async commands(entry, mode) {
      if (entry.type.startsWith("fuse")) return [unmountCommand(entry, mode)];
      const command = (await findProgram("umount", programFolders)) ?? "umount";
      return FLAGS[mode].map((flags) => {
        return { command, args: [...flags, "--", entry.path], atMostMs: AT_MOST_MS[mode] };
      });
    },
    explain: (output) =>
      /must be superuser|not permitted|only root|only .* can unmount/i.test(output)
        ? `${output}; only root may unmount it: give its line in /etc/fstab the option \`users\`, or run the service as root`
        : output,
  });
}
