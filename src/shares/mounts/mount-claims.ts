// Claims of mount paths: if a user runs several daemons, each with its own home folder, only one of them may
// mount at a path.
import { lstat, mkdir, open, readFile, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorText, recoverFrom } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { beginExclusive, type ExclusiveFileLock } from "../../runtime/files/sqlite-file-lock.ts";
import type { Logger } from "../../runtime/log/log.ts";

interface ClaimsOptions {
  readonly home: string;
  readonly logger: Logger;
}

/** The length of a path's hash in a lock file's name. */
const NAME_CHARACTERS = 32;

export type MountClaims = ReturnType<typeof createMountClaims>;

/**
 * Creates the claims of this daemon. Each is a file lock, which the system ends with the process that holds
 * it.
 */
export function createMountClaims({ home, logger }: ClaimsOptions) {
  const claims = new Map<string, { readonly file: string; readonly lock: ExclusiveFileLock }>();
  let isReported = false;
  const fileOf = async (path: string): Promise<string> => {
    const name = sha256Of(path).slice(0, NAME_CHARACTERS);
    return join(await claimsFolder(), name);
  };
  const claimNow = async (path: string): Promise<string | null> => {
    const file = await fileOf(path);
    await (await open(file, "a", 0o600)).close();
    const before = await stat(file);
    const lock = beginExclusive(file);
    if (lock === null) {
      const owner = await readFile(`${file}.home`, "utf8").catch(() => "");
      // At a handover, the previous daemon with this home folder still has the lock and is about to release it; that is
      // not an obstacle.
      return owner === home ? null : owner === "" ? "another home" : owner;
    }
    // The lock's previous owner has just removed the file: the next call tries again.
    if ((await stat(file).catch(() => null))?.ino !== before.ino) {
      lock.release();
      return null;
    }
    claims.set(path, { file, lock });
    await writeFile(`${file}.home`, home, { mode: 0o600 });
    return null;
  };
  const release = async (path: string): Promise<void> => {
    const claim = claims.get(path);
    if (claim === undefined) return;
    claims.delete(path);
    const { file, lock } = claim;
    await Promise.all([unlink(file), unlink(`${file}.home`)]).catch(() => {});
    lock.release();
  };
  return {
    /**
     * Claims a mount path. null: the path is ours now, or claims do not work here; otherwise the home folder
     * of the daemon that has it. Never rejects.
     */
    async claim(path: string): Promise<string | null> {
      if (claims.has(path)) return null;
      try {
        return await claimNow(path);
      } catch (error) {
        if (!isReported) logger.warn("mount paths cannot be claimed", { reason: errorText(error) });
        isReported = true;
        return null;
      }
    },
    release,
    async [Symbol.asyncDispose]() {
      await Promise.all([...claims.keys()].map(release));
    },
  };
}

/**
 * Makes the folder with the claims of all daemons of the user if it is missing. It is derived only from the user, not from the
 * environment, which differs between a shell and a service. Rejects if another user could write or read it.
 */
async function claimsFolder(): Promise<string> {
  const uid = process.getuid?.() ?? 0;
  const own = `/run/user/${uid}`;
  // Container tools may mount a socket below `/run/user/UID`; the folder then belongs to root.
  const isOfUser = (await lstat(own).catch(() => null))?.uid === uid;
  const usual = isOfUser ? join(own, "mountaineer") : `/tmp/mountaineer-${uid}`;
  const folder = uid === 0 ? "/var/run/mountaineer" : usual;
  await mkdir(folder, { mode: 0o700 }).catch(recoverFrom("EEXIST", undefined));
  const found = await lstat(folder);
  const isOwn = found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0;
  if (!isOwn) throw new Error(`${folder} must belong to this user, with mode 0700`);
  return folder;
}
