// How the daemon reads its configuration file and the files beside it. Paths on local disks are read in this
// process; others in the prober, because a call on a network file system may never return.
import { unlessAborted } from "../../runtime/abort.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { areOnLocalDisks, isRemote } from "../../runtime/process/responsive-disk.ts";
import { type Clock, resultWithin } from "../../runtime/time/clock.ts";
import type { MountEntry, MountTable } from "../../shares/mounts/mount-entry.ts";
import { fileChecks } from "../../shares/prober/file-checks.ts";
import type { Prober } from "../../shares/prober/prober.ts";
import type { WatchedFile } from "../../sync/watched-file.ts";

/** Deadline of a check, ms: shorter than the watcher's own deadline, so that every late check has the same message. */
const CHECK_MS = 4000;
/** Greatest age of a reading of the mount table, ms. The tick of the shares reads the table about as often. */
const TABLE_AGE_MS = 2_500;
/** Deadline for finding the file's real path, ms; after it, the history uses the path as configured. */
const REAL_PATH_MS = 1000;

interface FileTools {
  readonly prober: Pick<Prober, keyof typeof fileChecks>;
  readonly mountTable: MountTable;
  readonly clock: Clock;
}

type LocalFiles = ReturnType<typeof openLocalFiles>;

/** Each look takes at most `CHECK_MS`, and none rejects. The prober is used only if a path may lead to another machine. */
export function openLocalFiles({ prober, mountTable, clock }: FileTools) {
  let mounts: readonly MountEntry[] = [];
  const readMounts = async (): Promise<void> => {
    mounts = await mountTable.read(clock.monotonicMs() - TABLE_AGE_MS);
  };
  const proberOf = async (path: string, limitMs: number) => {
    await readMounts();
    const plain = await resultWithin(clock, limitMs, areOnLocalDisks([path], mounts));
    return plain === true ? within(limitMs) : prober;
  };
  const within = (limitMs: number): FileTools["prober"] => ({
    realPath: (path) => resultWithin(clock, limitMs, fileChecks.realPath(path)),
    checkFile: (path) => resultWithin(clock, limitMs, fileChecks.checkFile(path)),
    fileBytes: (path) => resultWithin(clock, limitMs, fileChecks.fileBytes(path)),
    exposures: (paths) => resultWithin(clock, limitMs, fileChecks.exposures(paths)),
  });
  return {
    readMounts,
    isHere: (path: string): boolean => !isRemote(mounts, path),
    realPath: async (path: string) => (await proberOf(path, REAL_PATH_MS)).realPath(path, REAL_PATH_MS),
    checkFile: async (path: string) => (await proberOf(path, CHECK_MS)).checkFile(path, CHECK_MS),
    fileBytes: async (path: string) => (await proberOf(path, CHECK_MS)).fileBytes(path, CHECK_MS),
    /**
     * Checks only paths on local disks: on other file systems modes mean little, and a check may hang. null: no answer
     * in time.
     */
    async exposures(paths: readonly string[]) {
      await readMounts();
      const local = paths.filter((path) => !isRemote(mounts, path));
      const plain = await resultWithin(clock, CHECK_MS, areOnLocalDisks(local, mounts));
      return (plain === true ? within(CHECK_MS) : prober).exposures(local, CHECK_MS);
    },
  };
}

export async function openConfigFile(path: string, files: LocalFiles): Promise<WatchedFile> {
  await files.readMounts();
  return {
    path,
    async stat(signal) {
      const check = await unlessAborted(files.checkFile(path), signal);
      if (check === null) throw late(path);
      if (check.state === "failed") return unlessMissing(path, check.errno);
      const [dev, ino] = [BigInt(check.dev), BigInt(check.ino)];
      const [mtimeNs, ctimeNs] = [BigInt(check.mtimeNs), BigInt(check.ctimeNs)];
      return { dev, ino, size: BigInt(check.size), mtimeNs, ctimeNs };
    },
    async read(signal) {
      const found = await unlessAborted(files.fileBytes(path), signal);
      if (found === null) throw late(path);
      if (found.state === "failed") return unlessMissing(path, found.errno);
      return { bytes: Buffer.from(found.base64, "base64"), inode: found.inode };
    },
    realPath: files.realPath,
    isHere: files.isHere,
  };
}

function unlessMissing(path: string, errno: string): null {
  if (errno === "ENOENT" || errno === "ENOTDIR") return null;
  throw new MountaineerError("config_unreadable", `${path} cannot be read: ${errno}`, { retry: "later" });
}

function late(path: string): MountaineerError {
  return new MountaineerError("config_unreadable", `${path}: no answer within ${CHECK_MS / 1000} s`, {
    retry: "later",
  });
}
