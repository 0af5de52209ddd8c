// The driver for macOS. It mounts by NetFS, at /Volumes/SHARE in a folder that macOS makes, or at a folder that
// Mountaineer chooses. The kernel serves the mount; Mountaineer runs no process for it.

import { access, lstat, mkdir, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { errorText, recoverFrom } from "../../../runtime/errors.ts";
import { ensureFolder } from "../../../runtime/files/durable-file.ts";
import { isOurAgent } from "../../../runtime/process/launchd-label.ts";
import { shellCommand } from "../../../runtime/text/plain-text.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { MountTable } from "../../mounts/mount-entry.ts";
import { meaningOfDenied } from "../../mounts/volume-permission-darwin.ts";
import type { ProgramCommands } from "../../program/commands.ts";
import { passwordOf } from "../../program/sign-in.ts";
import type { RouteName, ShareSpec } from "../../share-spec.ts";
import { SMB_PORT, sourceOf } from "../../smb-source.ts";
import type { FoundMount, MountDriver, MountOutcome, MountPlan, SmbDriverOptions } from "../mount-driver.ts";
import { checkNewMount, type Failed, failed, orHanging, reasonOf } from "../mount-failure.ts";
import { createUnmount, type Unmount, undoMount } from "../unmount.ts";
import { NETFS_LIBRARIES } from "./binding.ts";
import { ALREADY_MOUNTED, failedByNetfs } from "./codes.ts";
import { createNetfsMounts, type NetfsMounts } from "./find.ts";
import { createNetfsLogins } from "./logins.ts";
import { createMountTurns, type MountTurns } from "./mount-turns.ts";
import { mountByNetfs } from "./process.ts";

interface NetfsDriverOptions extends SmbDriverOptions {
  readonly stateFolder: string;
  readonly commands: Pick<ProgramCommands, "compareServers">;
  /** The parts of macOS that the driver uses; default: the real ones. */
  readonly tools?: NetfsTools;
}

export interface NetfsTools {
  /** The folder in which macOS makes mount folders itself, named after shares. */
  readonly volumes: string;
  /** Why the driver cannot run here; null: this is macOS. */
  readonly unavailable: MountDriver["missingRequirement"];
  readonly netfs: typeof mountByNetfs;
  readonly unmountCommands?: NonNullable<MacosUnmountOptions["commands"]>;
}

const MACOS: NetfsTools = {
  volumes: "/Volumes",
  unavailable: async () => {
    try {
      await access(dirname(NETFS_LIBRARIES.netfs));
      return null;
    } catch {
      return { text: "NetFS is macOS's", hint: "leave the key driver out" };
    }
  },
  netfs: mountByNetfs,
};

/** Each check looks up a new name, so no cache can answer it. */
const CACHE_MS = 0;
const TABLE_POLL_MS = 20;
/**
 * How long macOS may take to remove the folder of a mount in /Volumes: diskarbitrationd does that some time after the
 * mount has left the table, and only root could do it instead.
 */
const REMOVED_WITHIN_MS = 3_000;
/** After NetFS has answered, the table must show the mount within this time. */
const IN_TABLE_MS = 2_000;
/** How long to wait for a new mount's first answer. */
const PROVE_MS = 5_000;

interface MountAnswer {
  readonly ok: true;
  /** The path that macOS reported; null if it did not. */
  readonly path: string | null;
  /** True: the share was mounted already. */
  readonly existed: boolean;
}

/** Its `mount` and `unmount` return failures as outcomes. */
export function createNetfsDriver(options: NetfsDriverOptions): MountDriver {
  const { clock, prober, mountTable, addressesOf, tools = MACOS } = options;
  const { volumes, unmountCommands } = tools;
  const unmount = createMacosUnmount({ clock, mountTable, commands: unmountCommands });
  const mounts = createNetfsMounts({ prober, mountTable, addressesOf, volumes });
  const logins = createNetfsLogins(options);
  const attemptTools = { ...options, tools, unmount, mounts, turns: createMountTurns(clock) };

  return {
    name: "netfs",
    cacheMs: CACHE_MS,
    mayWaitForPermission: true,
    missingRequirement: tools.unavailable,
    find: mounts.find,
    async mount(share, route, { deadlineMs, signal }, plan) {
      const problem = await tools.unavailable();
      if (problem !== null) return failed("driver_unavailable", problem.text);
      if (signal.aborted) return failed("other", "cancelled");
      const source = sourceOf(share.routes[route], share.shareName);
      try {
        const isSystemNamed = mounts.isSystemNamed(share);
        if (!isSystemNamed) await ensureFolder(dirname(share.mountPath), 0o755);
        const path = await mounts.pathOf(share);
        const present = await mounts.findAt(share, path, clock.monotonicMs());
        if (present?.sameShare) return { ok: true, mount: present, adopted: true };
        if (present !== undefined) return taken(path, `a mount of ${present.source}`);
        const folder = isSystemNamed ? null : path;
        const untilMs = clock.monotonicMs() + deadlineMs;
        const login = { share, route, plan, signal };
        const obstacle = await logins.obstacle(login);
        if (obstacle !== null) return { ...obstacle, text: `${source}: ${obstacle.text}` };
        const outcome = await attemptMount(attemptTools, { ...login, path, folder, untilMs });
        logins.ended(login, outcome);
        return outcome.ok ? outcome : { ...outcome, text: `${source}: ${outcome.text}` };
      } catch (error) {
        return failed(reasonOf(error), `${source}: ${errorText(error)}`);
      }
    },
    async unmount(share, mount, mode, limits) {
      const outcome = await unmount(mount, mode, limits);
      if (!outcome.ok) return orHanging(prober, mount, outcome);
      prober.forget(mount.id);
      // Under /Volumes macOS removes the folder.
      if (dirname(mount.path) !== volumes && mount.path === share.mountPath)
        await rmdir(mount.path).catch(() => {});
      return outcome;
    },
    ownProcesses: () => Promise.resolve([]),
    openFilesPath: mounts.openFilesPath,
  };
}

interface AttemptTools extends Pick<NetfsDriverOptions, "clock" | "logger" | "prober"> {
  readonly tools: NetfsTools;
  readonly unmount: Unmount;
  readonly mounts: NetfsMounts;
  /** Mounts of one server are made one at a time: several at once are reported to crash macOS. */
  readonly turns: MountTurns;
}

interface Attempt {
  readonly share: ShareSpec;
  readonly route: RouteName;
  readonly plan: MountPlan;
  /** The mount path, as the mount table spells it. */
  readonly path: string;
  /** The folder to mount on; null: macOS makes one. */
  readonly folder: string | null;
  /** Monotonic ms. */
  readonly untilMs: number;
  readonly signal: AbortSignal;
}

/** One attempt to mount, which leaves nothing behind when it fails. */
async function attemptMount(tools: AttemptTools, attempt: Attempt): Promise<MountOutcome> {
  const { clock, mounts } = tools;
  const { share, path, folder } = attempt;
  const obstacle = await clearPath(tools, attempt);
  if (obstacle !== null) return obstacle;
  if (folder !== null) await mkdir(folder, { mode: 0o700 });
  let failure: Failed;
  let made: FoundMount | undefined;
  /** The call ended without an answer of macOS, so the mount may have succeeded all the same. */
  let givenUp = false;
  try {
    const answer = await requestMount(tools, attempt);
    if (answer.ok) {
      const mount = await untilFound(tools, attempt, answer.path ?? path);
      if (mount?.sameShare && answer.existed) {
        // The system never removes a folder on which something is mounted.
        if (folder !== null) await rmdir(folder).catch(() => {});
        return { ok: true, mount, adopted: true };
      }
      // Another share's mount is not ours to undo.
      made = mount?.sameShare ? mount : undefined;
      const wrong = await whatIsWrong(tools, attempt, mount);
      if (wrong === null && mount !== undefined) return { ok: true, mount, adopted: false };
      failure = wrong ?? failed("other", "the mount vanished at once");
    } else {
      failure = answer;
      givenUp = answer.reason === "timed_out";
    }
  } catch (error) {
    givenUp = true;
    failure = failed("other", errorText(error));
  }
  if (givenUp) {
    const late = await mounts.findAt(share, path, clock.monotonicMs());
    made = late?.sameShare ? late : undefined;
  }
  if (made !== undefined) await undoMount(tools, made);
  if (folder !== null) await rmdir(folder).catch(() => {});
  return failure;
}

/** Frees the path of what may be removed; in /Volumes, waits for macOS to remove the folder of an earlier mount. */
async function clearPath(
  { clock, mounts }: AttemptTools,
  { share, path, folder, untilMs, signal }: Attempt,
): Promise<Failed | null> {
  const removedByMs = Math.min(untilMs, clock.monotonicMs() + REMOVED_WITHIN_MS);
  for (;;) {
    const obstacle = await removeObstacle(path);
    if (obstacle !== "not permitted") return obstacle;
    if (folder !== null) return failed("permission_denied", `${path} may not be removed by this user`);
    if (clock.monotonicMs() >= removedByMs) return taken(path, leftoverFolder(path));
    await clock.sleep(TABLE_POLL_MS, signal);
    // Something mounted there since may hang, so this thread does not read it.
    if ((await mounts.findAt(share, path, clock.monotonicMs())) !== undefined)
      return taken(path, "a mount that has just been made");
  }
}

async function removeObstacle(path: string): Promise<Failed | "not permitted" | null> {
  const stats = await lstat(path).catch(recoverFrom("ENOENT", null));
  if (stats === null) return null;
  if (!stats.isDirectory()) return taken(path, stats.isSymbolicLink() ? "a link" : "a file");
  return rmdir(path)
    .then(() => null)
    .catch(recoverFrom("ENOENT", null))
    .catch(recoverFrom(["EACCES", "EPERM"], "not permitted" as const))
    .catch(recoverFrom(["ENOTEMPTY", "EEXIST"], taken(path, "a folder that is not empty")));
}

async function untilFound(
  { clock, mounts }: AttemptTools,
  { share, path }: Attempt,
  at: string,
): Promise<FoundMount | undefined> {
  const untilMs = clock.monotonicMs() + IN_TABLE_MS;
  for (;;) {
    const mount = mounts.isSamePath(at, path)
      ? await mounts.findAt(share, path, clock.monotonicMs())
      : (await mounts.find(share, clock.monotonicMs())).find((one) => mounts.isSamePath(one.path, at));
    if (mount !== undefined || clock.monotonicMs() >= untilMs) return mount;
    await clock.sleep(TABLE_POLL_MS);
  }
}

async function whatIsWrong(
  tools: AttemptTools,
  attempt: Attempt,
  mount: FoundMount | undefined,
): Promise<Failed | null> {
  const { share, path } = attempt;
  if (mount === undefined) return failed("other", `macOS mounted it, but ${path} is in no table`);
  if (!mount.sameShare) return taken(mount.path, `a mount of ${mount.source}`);
  if (!tools.mounts.standsAt(share, path, mount))
    return taken(path, `in use: macOS mounted at ${mount.path}`);
  return prove(tools, attempt, mount);
}

async function prove(
  { clock, prober, logger }: AttemptTools,
  { untilMs, signal }: Attempt,
  mount: FoundMount,
): Promise<Failed | null> {
  const waitMs = Math.min(PROVE_MS, untilMs - clock.monotonicMs());
  const check = await checkNewMount(prober, mount, waitMs, signal);
  if (check === null) return failed("other", "cancelled");
  if (check.state !== "answered") {
    // macOS made the mount, so the server accepted the login. The check may be waiting for a person to answer
    // a dialog; an undo would only bring the dialog back.
    logger.warn("the new mount does not answer yet", { path: mount.path });
    return null;
  }
  if (check.errno === null) return null;
  // A missing permission does not fail the mount; the next check reports it as a condition.
  const denied = meaningOfDenied(check.errno, mount.path, isOurAgent(process.env));
  if (denied === null) return failed("other", `the share does not list (${check.errno})`);
  logger.warn("the mount may not be read", { path: mount.path, reason: denied.title, hint: denied.hint });
  return null;
}

/** Asks macOS to mount, after waiting until no other mount of that host is under way. */
async function requestMount(tools: AttemptTools, attempt: Attempt): Promise<MountAnswer | Failed> {
  const { share, route, untilMs, signal } = attempt;
  const { host, port } = share.routes[route];
  if (host === null) return failed("other", `route ${route} has no host`);
  const waitMs = untilMs - tools.clock.monotonicMs();
  const answer = await tools.turns.take(host.toLowerCase(), { waitMs, signal }, () =>
    requestMountNow(tools, attempt, { host, port }),
  );
  return answer ?? failed("other", `other mounts of ${host} used up the time`);
}

async function requestMountNow(
  { clock, tools }: AttemptTools,
  { share, plan, folder, untilMs, signal }: Attempt,
  server: Pick<NetfsTarget, "host" | "port">,
): Promise<MountAnswer | Failed> {
  const { username, isGuest } = plan.signIn;
  const guest = isGuest && /^(guest)?$/i.test(username);
  const target = { ...server, shareName: share.shareName, username: guest ? null : username };
  const step = { clock, deadlineMs: untilMs - clock.monotonicMs(), signal };
  const request = {
    url: netfsUrl(target),
    folder,
    username: target.username,
    password: passwordOf(plan.signIn),
    guest,
  };
  const outcome = await tools.netfs(request, step);
  if (outcome.kind === "unavailable") {
    return failed("driver_unavailable", `NetFS cannot be called: ${outcome.text}`);
  }
  if (outcome.kind === "timed_out") return failed("timed_out", outcome.text);
  if (outcome.kind === "failed") return failed("other", outcome.text);
  if (outcome.status === 0 || outcome.status === ALREADY_MOUNTED) {
    const [path = null] = outcome.mountPoints;
    const existed = outcome.status === ALREADY_MOUNTED;
    if (!existed || path !== null) return { ok: true, path, existed };
  }
  return failedByNetfs(outcome.status);
}

/** A folder of root's, as a failed mount may leave it. While it exists, macOS would mount at `NAME-1`. */
function leftoverFolder(path: string): string {
  return `a folder that macOS has left behind: ${shellCommand`sudo rmdir ${path}`} removes it if it is empty; without an administrator's password, set mount_root to a folder of yours`;
}

function taken(path: string, by: string): Failed {
  return failed("path_taken", `${path} is ${by}`);
}

export interface NetfsTarget {
  /** A name or an address without brackets; an IPv6 address may have a zone. */
  readonly host: string;
  readonly port: number;
  readonly shareName: string;
  /** null for a guest. */
  readonly username: string | null;
}

/** The URL that NetFS mounts, without a password. */
export function netfsUrl({ host, port, shareName, username }: NetfsTarget): string {
  const user = username === null ? "" : `${escaped(username)}@`;
  // Only an IPv6 host has colons; the percent sign before its zone is escaped.
  const address = host.includes(":") ? `[${host.replace("%", "%25")}]` : escaped(host);
  return `smb://${user}${address}${port === SMB_PORT ? "" : `:${port}`}/${escaped(shareName)}`;
}

/** Composes the text (Unicode's NFC), as servers compare names, and escapes all but unreserved characters. */
function escaped(text: string): string {
  return encodeURIComponent(text.normalize("NFC")).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

interface MacosUnmountOptions {
  readonly clock: Clock;
  readonly mountTable: MountTable;
  /** Default: the system's own. */
  readonly commands?: { readonly umount: string; readonly diskutil: string } | undefined;
}

const SYSTEM = { umount: "/sbin/umount", diskutil: "/usr/sbin/diskutil" } as const;
/** A plain unmount first writes back unsent data, perhaps to a slow server. */
const PLAIN_MS = 30_000;
/** A forced unmount asks nothing of the file system, but tries to write back for up to 10 s. */
const FORCED_MS = 12_000;
const DISKUTIL_MS = 15_000;
const WEDGED = "macOS does not let go of it: it is wedged until the machine is restarted";

export function createMacosUnmount({ commands = SYSTEM, ...tools }: MacosUnmountOptions): Unmount {
  const { umount, diskutil } = commands;
  return createUnmount({
    ...tools,
    commands: ({ path }, mode) =>
      mode === "plain"
        ? [{ command: umount, args: ["--", path], atMostMs: PLAIN_MS }]
        : [
            { command: umount, args: ["-f", "--", path], atMostMs: FORCED_MS },
            { command: diskutil, args: ["unmount", "force", path], atMostMs: DISKUTIL_MS },
          ],
    explain: (output, mode) => (mode === "plain" ? output : `${WEDGED} (${output})`),
  });
}
