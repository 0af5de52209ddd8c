// The driver for machines without SMB, for demo and tests: one folder per route, switched by a symlink.
import { rmdir } from "node:fs/promises";
import { join } from "node:path";
import {
  errorText,
  expecting,
  isSystemError,
  MountaineerError,
  systemErrorCode,
} from "../../../runtime/errors.ts";
import { ensureFolder, readIfPresent } from "../../../runtime/files/durable-file.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { createLink, removeLink } from "../../links/stable-link.ts";
import type { LinkLook, OpenFile, Prober } from "../../prober/prober.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../../share-spec.ts";
import type { FoundMount, MountDriver, MountOutcome } from "../mount-driver.ts";
import { type Failed, failed, reasonOf, unmountFailed } from "../mount-failure.ts";
import { shareFiles, writeIfChanged } from "../share-files.ts";

interface LocalDriverOptions {
  readonly clock: Clock;
  readonly prober: Prober;
  /** Holds a folder per share, `mounts/<NAME>`, with the note of its link. */
  readonly stateFolder: string;
}

/** How long a look at a link on a local disk may take, ms. */
const LINK_MS = 1_000;
const OPEN_FILES_MS = 5_000;
const HOLDERS_NAMED = 3;

type Link = Extract<LinkLook, { state: "link" }>;

/** A mount is the link `mountPath`; its id is the link's identity, its source the folder behind it. */
export function createLocalDriver({ clock, prober, stateFolder }: LocalDriverOptions): MountDriver {
  const memory = createLinkMemory(stateFolder);
  const realFolders = createRealFolders(prober);
  const foundBy = (share: ShareSpec, look: Link): FoundMount => foundMount(memory, share, look);

  return {
    name: "local",
    cacheMs: 0,
    unavailable: () => Promise.resolve(null),
    async find(share) {
      const look = await lookAt(prober, share.mountPath);
      if (look.state === "unknown") {
        throw new MountaineerError("timed_out", `${share.mountPath}: ${look.text}`, { retry: "later" });
      }
      const former = await findFormer(prober, memory, share);
      for (const mount of former) await realFolders.learn(mount.source);
      if (look.state !== "link") return former;
      await memory.recall(share, look.target);
      const mount = foundBy(share, look);
      if (mount.sameShare) await realFolders.learn(mount.source);
      return former.length === 0 ? [mount] : [mount, ...former];
    },
    async mount(share, route, { deadlineMs, signal }): Promise<MountOutcome> {
      if (signal.aborted) return failed("other", "cancelled");
      const { folder } = share.routes[route];
      if (folder === null) return failed("other", `route ${route} has no folder`);
      const untilMs = clock.monotonicMs() + deadlineMs;
      try {
        const blocked = await whatStands(prober, memory, share);
        if (blocked !== null) return blocked;
        await writeLocalNote(stateFolder, share.name, { path: share.mountPath, folder });
        await createLink(share.mountPath, folder);
      } catch (error) {
        const reason = systemErrorCode(error) === "EEXIST" ? "path_taken" : reasonOf(error);
        return failed(reason, errorText(error));
      }
      const waitMs = Math.max(0, untilMs - clock.monotonicMs());
      const failure = await prove(prober, share, route, folder, waitMs);
      if (failure !== null) return failure;
      const look = await lookAt(prober, share.mountPath);
      if (look.state !== "link") return failed("other", `${share.mountPath} vanished at once`);
      await realFolders.learn(folder);
      return { ok: true, mount: foundBy(share, look), adopted: false };
    },
    async unmount(share, mount, mode, { deadlineMs, signal }) {
      if (signal.aborted) return unmountFailed("cancelled");
      try {
        if (mode === "plain") {
          await realFolders.learn(mount.source);
          const busy = await whyBusy(prober, realFolders.known(mount.source), deadlineMs);
          if (busy !== null) return { ok: false, reason: "busy", text: busy };
        }
        const look = await lookAt(prober, mount.path);
        if (look.state === "unknown") return unmountFailed(look.text);
        // It is gone, or replaced by another one, which was not to be unmounted.
        if (look.state === "link" && look.identity === mount.id) {
          const { sameShare, madeByDriver } = foundBy(share, look);
          if (!sameShare && !madeByDriver) return unmountFailed(`${mount.path} is a link to ${look.target}`);
          await removeLink(mount.path);
        }
        prober.forget(mount.id);
        return { ok: true };
      } catch (error) {
        return unmountFailed(errorText(error));
      }
    },
    unsent: () => Promise.resolve([]),
    ownProcesses: () => Promise.resolve([]),
    openFilesPath: ({ source }) => realFolders.known(source),
  };
}

function lookAt(prober: Prober, path: string): Promise<LinkLook> {
  return prober.readLink(path, LINK_MS);
}

function foundMount(memory: LinkMemory, share: ShareSpec, { identity, target }: Link): FoundMount {
  const route = ROUTE_NAMES.find((name) => share.routes[name].folder === target) ?? null;
  return {
    id: identity,
    path: share.mountPath,
    source: target,
    sameShare: route !== null,
    route,
    processGone: false,
    madeByDriver: memory.foldersOf(share).has(target),
  };
}

/** Our links at the paths that the share had before. */
async function findFormer(
  prober: Prober,
  memory: LinkMemory,
  share: ShareSpec,
): Promise<readonly FoundMount[]> {
  const ours = memory.foldersOf(share);
  const former = memory.formerPathsOf(share);
  const mounts: FoundMount[] = [];
  for (const path of former) {
    const look = await lookAt(prober, path);
    if (look.state === "link" && ours.has(look.target)) {
      mounts.push({ ...foundMount(memory, share, look), path, sameShare: true });
    } else if (look.state !== "unknown") former.delete(path);
  }
  return mounts;
}

/** What is at the share's path and keeps it from being mounted there; null: nothing. */
async function whatStands(
  prober: Prober,
  memory: LinkMemory,
  share: ShareSpec,
): Promise<MountOutcome | null> {
  const { mountPath } = share;
  const present = await lookAt(prober, mountPath);
  if (present.state === "unknown") return failed("timed_out", present.text);
  if (present.state === "missing") return null;
  if (present.state === "other") {
    // The folder that another driver mounted on.
    const isGone = await rmdir(mountPath).then(
      () => true,
      () => false,
    );
    return isGone ? null : failed("path_taken", `${mountPath} is a ${present.kind}`);
  }
  const mount = foundMount(memory, share, present);
  if (mount.sameShare) return { ok: true, mount, adopted: true };
  return failed("path_taken", `${mountPath} is a link to ${present.target}`);
}

/** Lists the folder through the link; if that fails, the link is removed again. */
async function prove(
  prober: Prober,
  { mountPath }: ShareSpec,
  route: RouteName,
  folder: string,
  waitMs: number,
): Promise<Failed | null> {
  const made = await lookAt(prober, mountPath);
  const id = made.state === "link" ? made.identity : mountPath;
  const look = await prober.look(id, mountPath, waitMs);
  if (look.state === "answered" && look.errno === null) return null;
  if (made.state === "link" && made.target === folder) await removeLink(mountPath).catch(() => {});
  prober.forget(id);
  if (look.state !== "answered") return failed("timed_out", `${folder} did not list in time`);
  const reason = look.errno === "ENOENT" || look.errno === "ENOTDIR" ? "unreachable" : "other";
  return failed(reason, `${folder} (${route}) does not list (${look.errno})`);
}

/** Folders without symlinks in their paths, as processes show them. */
function createRealFolders(prober: Prober) {
  const real = new Map<string, string>();
  return {
    async learn(folder: string): Promise<void> {
      if (real.has(folder)) return;
      const found = await prober.realPath(folder, LINK_MS);
      if (found !== null) real.set(folder, found);
    },
    known: (folder: string): string => real.get(folder) ?? folder,
  };
}

type LinkMemory = ReturnType<typeof createLinkMemory>;

/** Which links are ours: those that lead to folders that were configured, at paths that were configured. */
function createLinkMemory(stateFolder: string) {
  /** By share: the folders that were configured while this process runs, so that a link to an earlier one is ours. */
  const configured = new Map<string, Set<string>>();
  /** By share: the paths that earlier configurations of this process gave it, without the current one. */
  const formerPaths = new Map<string, Set<string>>();
  const newestPath = new Map<string, string>();
  const noted = new WeakSet<ShareSpec>();
  /** Shares whose notes of an earlier process were read. */
  const recalled = new Set<string>();

  const formerPathsOf = ({ name }: ShareSpec): Set<string> => {
    const former = formerPaths.get(name) ?? new Set();
    formerPaths.set(name, former);
    return former;
  };
  const noteMountPath = (share: ShareSpec): void => {
    const before = newestPath.get(share.name);
    newestPath.set(share.name, share.mountPath);
    if (before === undefined || before === share.mountPath) return;
    formerPathsOf(share).add(before).delete(share.mountPath);
  };
  const foldersOf = (share: ShareSpec): Set<string> => {
    const folders = configured.get(share.name) ?? new Set();
    if (noted.has(share)) return folders;
    noted.add(share);
    configured.set(share.name, folders);
    for (const route of ROUTE_NAMES) folders.add(share.routes[route].folder ?? "");
    noteMountPath(share);
    return folders;
  };

  return {
    /** All folders that were ever configured for it. */
    foldersOf: (share: ShareSpec): ReadonlySet<string> => foldersOf(share),
    formerPathsOf,
    /** A link that nothing explains may have been made before this process ran. */
    async recall(share: ShareSpec, target: string): Promise<void> {
      const folders = foldersOf(share);
      if (folders.has(target) || recalled.has(share.name)) return;
      const note = await readLocalNote(stateFolder, share.name);
      recalled.add(share.name);
      if (note?.path === share.mountPath) folders.add(note.folder);
    },
  };
}

/** Who holds files in the folder, or that this is not known; null: nobody does. */
async function whyBusy(prober: Prober, folder: string, deadlineMs: number): Promise<string | null> {
  const waitMs = Math.min(deadlineMs, OPEN_FILES_MS);
  const [answer] = await prober.openFiles([folder], [process.pid, ...prober.pids], waitMs);
  if (answer === undefined || !answer.ok) return `open files are not known: ${answer?.text ?? "no answer"}`;
  return answer.files.length === 0 ? null : holdersText(answer.files);
}

function holdersText(files: readonly OpenFile[]): string {
  const holders = new Map(files.map(({ pid, command }) => [pid, command]));
  const named = [...holders].slice(0, HOLDERS_NAMED).map(([pid, command]) => `${command} (${pid})`);
  const more = holders.size - named.length;
  return `files are open in ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** A note about the link of a share, so that a restart recognizes it as ours. */
interface LocalNote {
  readonly path: string;
  readonly folder: string;
}

/** null: there is no note, or it cannot be read. */
async function readLocalNote(stateFolder: string, shareName: string): Promise<LocalNote | null> {
  const note = await readIfPresent(notePath(stateFolder, shareName)).catch(expecting(isSystemError, null));
  const { path, folder } = jsonObject(note ?? "") ?? {};
  return typeof path === "string" && typeof folder === "string" ? { path, folder } : null;
}

async function writeLocalNote(stateFolder: string, shareName: string, note: LocalNote): Promise<void> {
  const { path, folder } = note;
  try {
    await ensureFolder(shareFiles(stateFolder, shareName).folder, 0o700);
    await writeIfChanged(notePath(stateFolder, shareName), `${JSON.stringify({ path, folder })}\n`);
  } catch (error) {
    // While this process runs the link is known anyway, so a failed write must not stop the share.
    if (systemErrorCode(error) === null) throw error;
  }
}

function notePath(stateFolder: string, shareName: string): string {
  return join(shareFiles(stateFolder, shareName).folder, "local.json");
}
