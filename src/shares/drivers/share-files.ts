// The folder that Mountaineer keeps for each share, with any driver, and how a file in it is written.

import { open, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { recoverFrom, systemErrorCode } from "../../runtime/errors.ts";
import { readIfPresent } from "../../runtime/files/durable-file.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";

export interface StateFolderTools extends RuntimeTools {
  /** Holds a folder for each share, `mounts/<NAME>`. */
  readonly stateFolder: string;
}

/** Files that the folder of each share has, whatever its driver. */
export interface ShareFiles {
  readonly folder: string;
  /** Note of the mount folder's identity, and of the folders to which its content was moved. */
  readonly mountFolder: string;
  /** Holds files that were written and never sent to the server. */
  readonly setAside: string;
}

/** Where a share is mounted, and where its files are kept. */
export interface ShareLocation<Files extends ShareFiles = ShareFiles> {
  readonly shareName: string;
  readonly files: Files;
  /** The path as the mount table spells it. */
  readonly mountPath: string;
}

/** Maximum length of a folder's name, bytes: with a suffix, any file system accepts it. */
const NAME_AT_MOST = 180;

/** Holds a folder for each share that was ever mounted. */
export function shareMountsFolder(stateFolder: string): string {
  return join(stateFolder, "mounts");
}

export function shareFiles(stateFolder: string, shareName: string): ShareFiles {
  return shareFilesIn(join(shareMountsFolder(stateFolder), folderName(shareName)));
}

/** `folder`: the folder of one share. */
export function shareFilesIn(folder: string): ShareFiles {
  return {
    folder,
    mountFolder: join(folder, "mount-folder.json"),
    setAside: join(folder, "set-aside"),
  };
}

/**
 * Converts a share's name to its folder's name: everything but letters, digits, `-`, `_` and inner dots
 * becomes `%XX`. Two shares never get the same folder.
 */
export function folderName(shareName: string): string {
  const escaped = [...Buffer.from(shareName, "utf8")]
    .map((byte, index) => {
      const plain = /[A-Za-z0-9_-]/.test(String.fromCharCode(byte)) || (byte === 0x2e && index > 0);
      return plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");
  if (escaped.length <= NAME_AT_MOST) return escaped;
  const digest = sha256Of(shareName).slice(0, 16);
  return `${escaped.slice(0, NAME_AT_MOST - 17)}~${digest}`;
}

/**
 * Writes a file (0600) whole or not at all, and only if its content changes. On a full disk the old file is
 * overwritten in place if the new content fits into its blocks: a share must be able to change its host.
 * `hidden`: the temporary file, on the same disk.
 */
export async function writeIfChanged(path: string, content: string, hidden = `${path}.new`): Promise<void> {
  const before = await readIfPresent(path);
  if (before === content) return;
  try {
    await writeFile(hidden, content, { mode: 0o600 });
    await rename(hidden, path);
  } catch (error) {
    await rm(hidden, { force: true });
    if (before === null || !isDiskFull(error)) throw error;
    await using file = await open(path, "r+");
    const bytes = Buffer.byteLength(content);
    if (bytes > Math.max((await file.stat()).blocks * 512, Buffer.byteLength(before))) throw error;
    await file.write(content, 0);
    await file.truncate(bytes);
  }
}

/** Writes a non-essential file if its content has changed; a full disk is not an error. */
export async function writeUnlessFull(path: string, content: string): Promise<void> {
  await writeIfChanged(path, content).catch(recoverFrom(isDiskFull));
}

/** Whether there is no room left, on the disk or for this user. */
export function isDiskFull(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === "ENOSPC" || code === "EDQUOT";
}
