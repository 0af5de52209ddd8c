// What `uninstall --purge` removes besides the service: keyring entries and folders. Anything that is mounted in
// these folders stays.
import { lstat, readdir, realpath, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { expecting, MountaineerError, systemErrorCode } from "../runtime/errors.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { createKeyring } from "../secrets/keyring.ts";
import { openSecretStore } from "../secrets/secret-store.ts";
import type { MountTable } from "../shares/mounts/mount-entry.ts";
import { createMountTable } from "../shares/mounts/mount-table.ts";

const KEYRING_WITHIN_MS = 30_000;
/**
 * Longest wait for the carrier to end, ms. The carrier ends after its last mount is gone, and writes files until
 * then.
 */
const ENDS_WITHIN_MS = 10_000;
const BETWEEN_TRIES_MS = 100;
/**
 * The keys that seal pins and approvals; they are removed separately, because the list of secrets does not
 * contain them.
 */
const SEALING_KEYS = ["_seal-pins", "_seal-approvals"];

/** Removes the home's secrets and sealing keys from the keyring. Rejects with `secret_unavailable`. */
export async function clearKeyring(home: string, signal: AbortSignal): Promise<void> {
  const options = { home, clock: systemClock, environment: process.env };
  const store = openSecretStore(options);
  for (const { name, kept } of await store.list()) if (kept !== "file") await store.remove(name, signal);
  const keyring = createKeyring(options);
  const limits = { deadlineMs: KEYRING_WITHIN_MS, signal };
  // Without a keyring that answers, the keys are in files of the home.
  if (keyring === null || (await keyring.unusableBecause(limits)) !== null) return;
  for (const name of SEALING_KEYS) await keyring.remove(name, limits);
}

/** Names of files set aside beside rclone's cache, and of folders set aside beside a mount path. */
const SET_ASIDE = /^set-aside$|\.set-aside-\d{8}T/;

/**
 * Files in the home that are not on the NAS: files set aside, and files that programs wrote to a mount path while nothing was
 * mounted. Mounts are not looked into.
 */
export async function filesNotOnNas(
  home: string,
  table: MountTable = createMountTable({ clock: systemClock }),
): Promise<readonly string[]> {
  const real = await realpath(home).catch(expecting("ENOENT", home));
  const mounted = new Set((await table.read(systemClock.monotonicMs())).map(({ path }) => path));
  const found: string[] = [];
  const look = async (folder: string, isKept: boolean): Promise<void> => {
    const entries = await readdir(folder, { withFileTypes: true }).catch(expecting("ENOENT", []));
    for (const entry of entries) {
      const path = join(folder, entry.name);
      // In `volumes`, a symbolic link is the mount path of a share with driver `local`.
      const isLocal = entry.isSymbolicLink() && folder === join(real, "volumes");
      if (mounted.has(path) || isLocal) continue;
      const isVolumes = folder === real && entry.name === "volumes";
      if (entry.isDirectory()) await look(path, isKept || isVolumes || SET_ASIDE.test(entry.name));
      else if (isKept) found.push(path);
    }
  };
  await look(real, false);
  return found;
}

/** Rejects with `unmount_failed` if something is mounted at or below the folder. */
export async function requireNoMount(
  folder: string,
  table: MountTable = createMountTable({ clock: systemClock }),
): Promise<void> {
  // The mount table has real paths.
  const real = await realpath(folder).catch(expecting("ENOENT", folder));
  const entries = await table.read(systemClock.monotonicMs());
  const inside = entries.filter(({ path }) => path === real || path.startsWith(`${real}/`));
  if (inside.length === 0) return;
  const paths = inside.map(({ path }) => path).join(", ");
  throw new MountaineerError("unmount_failed", `something is mounted in ${folder}: ${paths}`, {
    hint: "nothing in it was removed; unmount it, and say it again",
  });
}

/**
 * Removes a folder with its contents, without following links or crossing mount points. Folders on other devices
 * stay, and so do the folders that contain such a folder.
 */
export async function removeFolder(folder: string, table?: MountTable): Promise<void> {
  const found = await lstat(folder).catch(expecting("ENOENT", null));
  if (found === null) return;
  await requireNoMount(folder, table);
  if (!found.isDirectory()) return unlink(folder);
  const untilMs = systemClock.monotonicMs() + ENDS_WITHIN_MS;
  for (;;) {
    try {
      return await emptyAndRemove(folder, found.dev);
    } catch (error) {
      if (systemErrorCode(error) !== "ENOTEMPTY" || systemClock.monotonicMs() >= untilMs) throw error;
      await systemClock.sleep(BETWEEN_TRIES_MS);
    }
  }
}

async function emptyAndRemove(folder: string, device: number): Promise<void> {
  for (const { name } of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, name);
    const found = await lstat(path).catch(expecting("ENOENT", null));
    if (found === null) continue;
    if (!found.isDirectory()) await unlink(path).catch(expecting("ENOENT", undefined));
    else if (found.dev === device) await emptyAndRemove(path, device);
    else {
      throw new MountaineerError(
        "unmount_failed",
        `${path} is on another device: something is mounted there`,
        {
          hint: "it stays, and so does what leads to it; unmount it, and say it again",
        },
      );
    }
  }
  await rmdir(folder);
}

/** Removes a folder if it is empty. Does nothing if it does not exist, or may not be removed. */
export async function removeIfEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch((error: unknown) => {
    if (!["ENOENT", "ENOTEMPTY", "EEXIST", "EBUSY", "EACCES", "EPERM"].includes(systemErrorCode(error) ?? ""))
      throw error;
  });
}
