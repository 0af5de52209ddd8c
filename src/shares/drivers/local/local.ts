// The driver for machines without SMB, for demo and tests: one folder per route, switched by a symlink.
import { rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  errorText,
  isSystemError,
  MountaineerError,
  recoverFrom,
  systemErrorCode,
} from "../../../runtime/errors.ts";
import { ensureFolder, readIfPresent } from "../../../runtime/files/durable-file.ts";
import { object, reader, type TypeOf, text } from "../../../runtime/shape.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import { createLink, removeLink } from "../../links/stable-link.ts";
import type { LinkReading, OpenFile, Prober } from "../../prober/prober.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../../share-spec.ts";
import type { FoundMount, MountDriver, MountOutcome } from "../mount-driver.ts";
import { type Failed, failed, reasonOf, unmountFailed } from "../mount-failure.ts";
import { shareFiles, writeIfChanged } from "../share-files.ts";
import { createFolderMounts, type FolderMountsOptions, lostText } from "./folder-mounts.ts";

const LINK_MS = 1_000;
const OPEN_FILES_MS = 5_000;
const HOLDERS_NAMED = 3;

type Link = Extract<LinkReading, { state: "link" }>;

/**
 * Creates the driver. A mount of this driver is the link at `mountPath`. The mount's id is the identity of the link,
 * and the mount's source is the folder to which the link leads.
 */
export function createLocalDriver(options: FolderMountsOptions): MountDriver {
  const { clock, prober, stateFolder } = options;
  const memory = createLinkMemory(stateFolder);
  const folderMounts = createFolderMounts(options);
  const realFolders = createRealFolders(prober);

  return {
    name: "local",
    cacheMs: 0,
    missingRequirement: () => Promise.resolve(null),
    probeFolder: folderMounts.probe,
    async find(share, notBeforeMs) {
      const reading = await readLinkAt(prober, share.mountPath);
      if (reading.state === "unknown") {
        throw new MountaineerError("timed_out", `${share.mountPath}: ${reading.text}`, { retry: "later" });
      }
      const former = await findFormer(prober, memory, share);
      if (reading.state !== "link") return former;
      await memory.recall(share, reading.target);
      const mount = foundMount(memory, share, reading);
      const lostMount = await folderMounts.lostMount(share, mount.source, notBeforeMs);
      if (mount.sameShare) await realFolders.learn(mount.source);
      return [lostMount === null ? mount : { ...mount, lost: lostText(lostMount) }, ...former];
    },
    async mount(share, route, { deadlineMs, signal }): Promise<MountOutcome> {
      if (signal.aborted) return failed("other", "cancelled");
      const { folder } = share.routes[route];
      if (folder === null) return failed("other", `route ${route} has no folder`);
      const untilMs = clock.monotonicMs() + deadlineMs;
      try {
        const blocked = await whatStands(prober, memory, share);
        if (blocked !== null) return blocked;
        const probe = await folderMounts.probe(share, folder);
        if (probe.reason === "link_down") return failed("unreachable", probe.text);
        await writeLocalRecord(stateFolder, share.name, { path: share.mountPath, folder });
        await createLink(share.mountPath, folder);
      } catch (error) {
        const reason = systemErrorCode(error) === "EEXIST" ? "path_taken" : reasonOf(error);
        return failed(reason, errorText(error));
      }
      const waitMs = Math.max(0, untilMs - clock.monotonicMs());
      const failure = await prove(prober, share, route, folder, waitMs);
      if (failure !== null) return failure;
      const reading = await readLinkAt(prober, share.mountPath);
      if (reading.state !== "link") return failed("other", `${share.mountPath} vanished at once`);
      await realFolders.learn(folder);
      return { ok: true, mount: foundMount(memory, share, reading), adopted: false };
    },
    async unmount(share, mount, mode, { deadlineMs, signal }) {
      if (signal.aborted) return unmountFailed("cancelled");
      try {
        if (mode === "plain") {
          await realFolders.learn(mount.source);
          const busy = await whyBusy(prober, realFolders.known(mount.source), deadlineMs);
          if (busy !== null) return { ok: false, reason: "busy", text: busy };
        }
        const reading = await readLinkAt(prober, mount.path);
        if (reading.state === "unknown") return unmountFailed(reading.text);
        // A link with another identity is not this mount, and is not removed.
        if (reading.state === "link" && reading.identity === mount.id) {
          const { sameShare, madeByDriver } = foundMount(memory, share, reading);
          if (!sameShare && !madeByDriver)
            return unmountFailed(`${mount.path} is a link to ${reading.target}`);
          await removeLink(mount.path);
        }
        prober.forget(mount.id);
        return { ok: true };
      } catch (error) {
        return unmountFailed(errorText(error));
      }
    },
    ownProcesses: () => Promise.resolve([]),
    openFilesPath: ({ source }) => realFolders.known(source),
  };
}

function readLinkAt(prober: Prober, path: string): Promise<LinkReading> {
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
    madeByDriver: memory.of(share).folders.has(target),
  };
}

/** Our links at the paths that the share had before. */
async function findFormer(
  prober: Prober,
  memory: LinkMemory,
  share: ShareSpec,
): Promise<readonly FoundMount[]> {
  const { folders, formerPaths } = memory.of(share);
  const mounts: FoundMount[] = [];
  for (const path of [...formerPaths]) {
    const reading = await readLinkAt(prober, path);
    if (reading.state === "link" && folders.has(reading.target)) {
      mounts.push({ ...foundMount(memory, share, reading), path, sameShare: true });
    } else if (reading.state !== "unknown") formerPaths.delete(path);
  }
  return mounts;
}

/** The outcome of the mount if something is at the share's path already; null: the path is free. */
async function whatStands(
  prober: Prober,
  memory: LinkMemory,
  share: ShareSpec,
): Promise<MountOutcome | null> {
  const { mountPath } = share;
  const present = await readLinkAt(prober, mountPath);
  if (present.state === "unknown") return failed("timed_out", present.text);
  if (present.state === "missing") return null;
  if (present.state === "other") {
    // Removes an empty folder: another driver has mounted on it before.
    try {
      await rmdir(mountPath);
      return null;
    } catch {
      return failed("path_taken", `${mountPath} is a ${present.kind}`);
    }
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
  const made = await readLinkAt(prober, mountPath);
  const id = made.state === "link" ? made.identity : mountPath;
  const check = await prober.checkMount(id, mountPath, waitMs);
  if (check.state === "answered" && check.errno === null) return null;
  if (made.state === "link" && made.target === folder) await removeLink(mountPath).catch(() => {});
  prober.forget(id);
  if (check.state !== "answered") return failed("timed_out", `${folder} did not list in time`);
  const reason = check.errno === "ENOENT" || check.errno === "ENOTDIR" ? "unreachable" : "other";
  return failed(reason, `${folder} (${route}) does not list (${check.errno})`);
}

/** Remembers the real paths of folders, because the system shows a process's open files by real paths. */
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

interface KnownLinks {
  /** All folders that were configured for the share while this process runs: links to them are ours. */
  readonly folders: Set<string>;
  path: string;
  /** The paths that earlier configurations gave the share. */
  readonly formerPaths: Set<string>;
}

type LinkMemory = ReturnType<typeof createLinkMemory>;

/**
 * Remembers the mount paths and the folders that were ever configured: a link from one of these paths to one of these
 * folders is ours.
 */
function createLinkMemory(stateFolder: string) {
  const byShare = new Map<string, KnownLinks>();
  const recorded = new WeakSet<ShareSpec>();
  const of = (share: ShareSpec): KnownLinks => {
    const path = share.mountPath;
    const known = byShare.get(share.name) ?? { folders: new Set(), path, formerPaths: new Set() };
    if (recorded.has(share)) return known;
    recorded.add(share);
    byShare.set(share.name, known);
    for (const route of ROUTE_NAMES) known.folders.add(share.routes[route].folder ?? "");
    known.formerPaths.add(known.path).delete(path);
    known.path = path;
    return known;
  };
  return {
    of,
    /**
     * If the configuration does not explain the link's `target`, adds the folder that an earlier process noted for
     * the share.
     */
    async recall(share: ShareSpec, target: string): Promise<void> {
      const known = of(share);
      if (known.folders.has(target)) return;
      const record = await readLocalRecord(stateFolder, share.name);
      if (record?.path === share.mountPath) known.folders.add(record.folder);
    },
  };
}

/** The programs that have files open in the folder, or why they are unknown; null: no file is open. */
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

/** A share's note of its link, so that a restart recognizes the link as ours. */
const recordShape = object({ path: text, folder: text });
type LocalRecord = TypeOf<typeof recordShape>;
const storedRecord = reader(recordShape);

/** Reads a share's note; null: there is none, or it cannot be read. */
async function readLocalRecord(stateFolder: string, shareName: string): Promise<LocalRecord | null> {
  const text = await readIfPresent(recordPath(stateFolder, shareName)).catch(
    recoverFrom(isSystemError, null),
  );
  return storedRecord(jsonObject(text ?? ""));
}

/**
 * Writes a share's note. A failure does not stop the share: while this process runs, the link is known
 * anyway.
 */
async function writeLocalRecord(stateFolder: string, shareName: string, record: LocalRecord): Promise<void> {
  const path = recordPath(stateFolder, shareName);
  await ensureFolder(dirname(path), 0o700)
    .then(() => writeIfChanged(path, `${JSON.stringify(record)}\n`))
    .catch(recoverFrom(isSystemError));
}

function recordPath(stateFolder: string, shareName: string): string {
  return join(shareFiles(stateFolder, shareName).folder, "local.json");
}
