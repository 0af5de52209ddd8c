// Owns the driver for machines without SMB, for demo and tests: a folder per route, swapped by a symlink.
import { rmdir } from "node:fs/promises";
import { errorText, MountaineerError, systemErrorCode } from "../../../runtime/errors.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { createLink, removeLink } from "../../links/stable-link.ts";
import type { LinkLook, OpenFile, Prober } from "../../prober/prober.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../../share-spec.ts";
import type { FoundMount, MountDriver, MountOutcome, UnmountMode, UnmountOutcome } from "../mount-driver.ts";
import { readLocalNote, writeLocalNote } from "./note.ts";

interface LocalDriverOptions {
  readonly clock: Clock;
  readonly prober: Prober;
  /** Holds a folder per share, `mounts/<NAME>`, with the note of its link. */
  readonly stateFolder: string;
}

/** For a look at a link on a local disk, ms. */
const LINK_MS = 1_000;
const OPEN_FILES_MS = 5_000;
const HOLDERS_NAMED = 3;

/** A mount is the link `mountPath`; its id is the link's identity, its source the folder behind it. */
export function createLocalDriver({ clock, prober, stateFolder }: LocalDriverOptions): MountDriver {
  /** Folders without symlinks inside, as processes show them. */
  const realFolders = new Map<string, string>();
  /** By share: folders that were configured for it while this process runs, so that a link to an old one is ours. */
  const configured = new Map<string, Set<string>>();
  /** By share: where it was configured to be mounted while this process runs, but for where it is now. */
  const formerPaths = new Map<string, Set<string>>();
  const newestPath = new Map<string, string>();
  const noted = new WeakSet<ShareSpec>();
  /** Shares whose notes of an earlier life were read. */
  const recalled = new Set<string>();

  const learnReal = async (folder: string): Promise<void> => {
    if (realFolders.has(folder)) return;
    const real = await prober.realPath(folder, LINK_MS);
    if (real !== null) realFolders.set(folder, real);
  };
  const lookAtPath = (path: string): Promise<LinkLook> => prober.readLink(path, LINK_MS);
  const lookAt = ({ mountPath }: ShareSpec): Promise<LinkLook> => lookAtPath(mountPath);

  const everConfigured = (share: ShareSpec): ReadonlySet<string> => {
    const folders = configured.get(share.name) ?? new Set();
    if (!noted.has(share)) {
      noted.add(share);
      configured.set(share.name, folders);
      for (const route of ROUTE_NAMES) folders.add(share.routes[route].folder ?? "");
      noteMountPath(share);
    }
    return folders;
  };
  const noteMountPath = ({ name, mountPath }: ShareSpec): void => {
    const before = newestPath.get(name);
    newestPath.set(name, mountPath);
    if (before === undefined || before === mountPath) return;
    const former = formerPaths.get(name) ?? new Set();
    former.add(before);
    former.delete(mountPath);
    formerPaths.set(name, former);
  };
  /** A link that nothing explains may have been made before this process ran. */
  const recall = async (share: ShareSpec, target: string): Promise<void> => {
    if (everConfigured(share).has(target) || recalled.has(share.name)) return;
    const note = await readLocalNote(stateFolder, share.name);
    recalled.add(share.name);
    if (note?.path === share.mountPath) configured.get(share.name)?.add(note.folder);
  };
  /** Links of ours where the share was mounted before its path was changed. */
  const findFormer = async (share: ShareSpec): Promise<readonly FoundMount[]> => {
    const ours = everConfigured(share);
    const former = formerPaths.get(share.name);
    if (former === undefined || former.size === 0) return [];
    const mounts: FoundMount[] = [];
    for (const path of former) {
      const look = await lookAtPath(path);
      if (look.state === "link" && ours.has(look.target)) {
        mounts.push({ ...foundBy(share, look), path, sameShare: true });
      } else if (look.state !== "unknown") former.delete(path);
    }
    return mounts;
  };
  const foundBy = (share: ShareSpec, look: Extract<LinkLook, { state: "link" }>): FoundMount => {
    const route = ROUTE_NAMES.find((name) => share.routes[name].folder === look.target) ?? null;
    return {
      id: look.identity,
      path: share.mountPath,
      source: look.target,
      sameShare: route !== null,
      route,
      processGone: false,
      madeByDriver: everConfigured(share).has(look.target),
    };
  };
  const unmounting = createLocalUnmount({ prober, realFolders, learnReal, lookAtPath, foundBy });

  return {
    name: "local",
    cacheMs: 0,
    unavailable: () => Promise.resolve(null),
    async find(share) {
      const look = await lookAt(share);
      if (look.state === "unknown") {
        throw new MountaineerError("timed_out", `${share.mountPath}: ${look.text}`, { retry: "later" });
      }
      const former = await findFormer(share);
      for (const mount of former) await learnReal(mount.source);
      if (look.state !== "link") return former;
      await recall(share, look.target);
      const mount = foundBy(share, look);
      if (mount.sameShare && !realFolders.has(mount.source)) await learnReal(mount.source);
      return former.length === 0 ? [mount] : [mount, ...former];
    },
    async mount(share, route, { deadlineMs, signal }): Promise<MountOutcome> {
      if (signal.aborted) return mountFailed("other", "cancelled");
      const { folder } = share.routes[route];
      if (folder === null) return mountFailed("other", `route ${route} has no folder`);
      const untilMs = clock.monotonicMs() + deadlineMs;
      try {
        const present = await lookAt(share);
        if (present.state === "unknown") return mountFailed("timed_out", present.text);
        if (present.state === "other" && !(await removeEmptyFolder(share.mountPath))) {
          return mountFailed("path_taken", `${share.mountPath} is a ${present.kind}`);
        }
        if (present.state === "link") {
          const mount = foundBy(share, present);
          if (mount.sameShare) return { ok: true, mount, adopted: true };
          return mountFailed("path_taken", `${share.mountPath} is a link to ${present.target}`);
        }
        await writeLocalNote(stateFolder, share.name, { path: share.mountPath, folder });
        await createLink(share.mountPath, folder);
      } catch (error) {
        return mountFailed(reasonOf(error), errorText(error));
      }
      const failure = await prove(share, route, folder, Math.max(0, untilMs - clock.monotonicMs()));
      if (failure !== null) return failure;
      const look = await lookAt(share);
      if (look.state !== "link") return mountFailed("other", `${share.mountPath} vanished at once`);
      await learnReal(folder);
      return { ok: true, mount: foundBy(share, look), adopted: false };
    },
    async unmount(share, mount, mode, { deadlineMs, signal }) {
      if (signal.aborted) return unmountFailed("cancelled");
      try {
        return await unmounting.unmount(share, mount, mode, deadlineMs);
      } catch (error) {
        return unmountFailed(errorText(error));
      }
    },
    unsent: () => Promise.resolve([]),
    ownProcesses: () => Promise.resolve([]),
    openFilesPath: unmounting.openFilesPath,
  };

  /** A readdir through the link; without it the link is taken away again. */
  async function prove(
    share: ShareSpec,
    route: RouteName,
    folder: string,
    waitMs: number,
  ): Promise<Extract<MountOutcome, { ok: false }> | null> {
    const made = await lookAt(share);
    const id = made.state === "link" ? made.identity : share.mountPath;
    const look = await prober.look(id, share.mountPath, waitMs);
    if (look.state === "answered" && look.errno === null) return null;
    if (made.state === "link" && made.target === folder) await removeLink(share.mountPath).catch(() => {});
    prober.forget(id);
    if (look.state !== "answered") return mountFailed("timed_out", `${folder} did not list in time`);
    const reason = look.errno === "ENOENT" || look.errno === "ENOTDIR" ? "unreachable" : "other";
    return mountFailed(reason, `${folder} (${route}) does not list (${look.errno})`);
  }
}

interface LocalUnmountParts {
  readonly prober: Prober;
  readonly realFolders: Map<string, string>;
  readonly learnReal: (folder: string) => Promise<void>;
  readonly lookAtPath: (path: string) => Promise<LinkLook>;
  readonly foundBy: (share: ShareSpec, look: Extract<LinkLook, { state: "link" }>) => FoundMount;
}

/** Lets go of a folder once nobody holds it. */
function createLocalUnmount({ prober, realFolders, learnReal, lookAtPath, foundBy }: LocalUnmountParts) {
  const openFilesPath = ({ source }: Pick<FoundMount, "source">): string => realFolders.get(source) ?? source;

  const busyBy = async (mount: FoundMount, deadlineMs: number): Promise<UnmountOutcome | null> => {
    await learnReal(mount.source);
    const ours = [process.pid, ...prober.pids];
    const waitMs = Math.min(deadlineMs, OPEN_FILES_MS);
    const [answer] = await prober.openFiles([openFilesPath(mount)], ours, waitMs);
    if (answer === undefined || !answer.ok) {
      return { ok: false, reason: "busy", text: `open files are not known: ${answer?.text ?? "no answer"}` };
    }
    return answer.files.length === 0 ? null : { ok: false, reason: "busy", text: holdersText(answer.files) };
  };

  const unmount = async (
    share: ShareSpec,
    mount: FoundMount,
    mode: UnmountMode,
    deadlineMs: number,
  ): Promise<UnmountOutcome> => {
    const busy = mode === "plain" ? await busyBy(mount, deadlineMs) : null;
    if (busy !== null) return busy;
    const look = await lookAtPath(mount.path);
    if (look.state === "unknown") return unmountFailed(look.text);
    // Gone, or replaced by another: that one was not asked to go.
    if (look.state !== "link" || look.identity !== mount.id) {
      prober.forget(mount.id);
      return { ok: true };
    }
    const { sameShare, madeByDriver } = foundBy(share, look);
    if (!sameShare && !madeByDriver) return unmountFailed(`${mount.path} is a link to ${look.target}`);
    await removeLink(mount.path);
    prober.forget(mount.id);
    return { ok: true };
  };

  return { unmount, openFilesPath };
}

type Failed = Extract<MountOutcome, { ok: false }>;

function mountFailed(reason: Failed["reason"], text: string): Failed {
  return { ok: false, reason, text };
}

function unmountFailed(text: string): UnmountOutcome {
  return { ok: false, reason: "failed", text };
}

function reasonOf(error: unknown): Failed["reason"] {
  const code = systemErrorCode(error);
  if (code === "EEXIST") return "path_taken";
  return code === "EACCES" || code === "EPERM" || code === "EROFS" ? "permission_denied" : "other";
}

/** What another driver mounted on; false when it is anything else. */
async function removeEmptyFolder(path: string): Promise<boolean> {
  try {
    await rmdir(path);
    return true;
  } catch {
    return false;
  }
}

function holdersText(files: readonly OpenFile[]): string {
  const holders = new Map(files.map(({ pid, command }) => [pid, command]));
  const named = [...holders].slice(0, HOLDERS_NAMED).map(([pid, command]) => `${command} (${pid})`);
  const more = holders.size - named.length;
  return `files are open in ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
