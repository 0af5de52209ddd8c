// The daemon's access to its configuration file: through the prober, because a call on a network file system may never
// return.
import { lstat } from "node:fs/promises";
import type { RealPath } from "../../config/history/history-owner.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { Exposure } from "../../runtime/files/exposure.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountEntry, MountTable } from "../../shares/mounts/mount-entry.ts";
import type { Prober } from "../../shares/prober/prober.ts";
import type { WatchedFile } from "../../sync/watched-file.ts";

/** How long the prober may take, ms: less than the watcher's own deadline, so that a late look is told in one way. */
const LOOK_MS = 4000;
/** How old a mount table may be by which a file system is told: the shares' beat reads it as often as the file is looked at. */
const TABLE_AGE_MS = 2_500;
/** How long it may take to learn which file this is, ms: the history then goes by the spelling alone. */
const REAL_PATH_MS = 1000;

/** File systems whose calls depend on another machine or process, or that tell nothing of its writes. */
const REMOTE_TYPE =
  /^(nfs\d?|cifs|smb\d?|smbfs|ncpfs|afs|afpfs|webdav|davfs\d?|9p|v9fs|virtiofs|vboxsf|vmhgfs|prl_fs|ceph|glusterfs|lustre|gpfs|coda|autofs|fuse(blk)?(\..+)?)$/;

interface ConfigFileTools {
  readonly prober: Prober;
  readonly mountTable: MountTable;
  readonly clock: Clock;
}

export async function openConfigFile(
  path: string,
  { prober, mountTable, clock }: ConfigFileTools,
): Promise<WatchedFile> {
  const mountsNow = (): Promise<readonly MountEntry[]> => mountTable.read(clock.monotonicMs() - TABLE_AGE_MS);
  let mounts = await mountsNow();
  // No symlink leads to it: where it also lies on a local disk, to look at it never waits for another machine.
  let isPlain = (await prober.realPath(path, REAL_PATH_MS)) === path;
  return {
    path,
    async stat(signal) {
      mounts = await mountsNow();
      if (isPlain && !isRemote(mounts, path)) {
        const stats = await lstat(path, { bigint: true }).catch(() => null);
        if (stats?.isFile() === true) {
          const { dev, ino, size, mtimeNs, ctimeNs } = stats;
          return { dev, ino, size, mtimeNs, ctimeNs };
        }
      }
      // A new file is there, or a link that may lead anywhere.
      isPlain = false;
      const look = await unlessAborted(prober.fileLook(path, LOOK_MS), signal);
      isPlain = look?.state === "file" && (await prober.realPath(path, REAL_PATH_MS)) === path;
      if (look === null) throw late(path);
      if (look.state === "failed") return unlessMissing(path, look.errno);
      const { dev, ino, size, mtimeNs, ctimeNs } = look;
      return {
        dev: BigInt(dev),
        ino: BigInt(ino),
        size: BigInt(size),
        mtimeNs: BigInt(mtimeNs),
        ctimeNs: BigInt(ctimeNs),
      };
    },
    async read(signal) {
      const bytes = await unlessAborted(prober.fileBytes(path, LOOK_MS), signal);
      if (bytes === null) throw late(path);
      return bytes.state === "failed"
        ? unlessMissing(path, bytes.errno)
        : Buffer.from(bytes.base64, "base64");
    },
    realPath: (ancestor) => prober.realPath(ancestor, REAL_PATH_MS),
    isHere: (ancestor) => !isRemote(mounts, ancestor),
  };
}

/** As the history of the file wants it. */
export function realPathThrough(prober: Prober): RealPath {
  return (path) => prober.realPath(path, REAL_PATH_MS);
}

/** Looks at those of the paths whose mode says something, and whose look cannot hang: not on another machine's disk. */
export function localExposures({ prober, mountTable }: Omit<ConfigFileTools, "clock">, clock: Clock) {
  return async (paths: readonly string[]): Promise<readonly Exposure[] | null> => {
    const mounts = await mountTable.read(clock.monotonicMs());
    return prober.exposures(
      paths.filter((path) => !isRemote(mounts, path)),
      LOOK_MS,
    );
  };
}

/** Whether looking at it asks another machine or process. */
function isRemote(mounts: readonly MountEntry[], path: string): boolean {
  let holder: MountEntry | null = null;
  for (const mount of mounts) {
    const isAbove = mount.path === "/" || path === mount.path || path.startsWith(`${mount.path}/`);
    if (isAbove && (holder === null || mount.path.length >= holder.path.length)) holder = mount;
  }
  return holder !== null && REMOTE_TYPE.test(holder.type);
}

function unlessMissing(path: string, errno: string): null {
  if (errno === "ENOENT" || errno === "ENOTDIR") return null;
  throw new MountaineerError("config_unreadable", `${path} cannot be read: ${errno}`, { retry: "later" });
}

function late(path: string): MountaineerError {
  return new MountaineerError("config_unreadable", `${path}: no answer within ${LOOK_MS / 1000} s`, {
    retry: "later",
  });
}
