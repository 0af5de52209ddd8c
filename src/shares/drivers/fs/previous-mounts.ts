// Mounts that an earlier version of Mountaineer made for a home: with rclone, whose cache may have files that the server does not have,
// or with a mountaineer-fs that has no control socket. The earlier version's relay serves them as long as they last.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { isSystemError, recoverFrom } from "../../../runtime/errors.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import type { MountEntry } from "../../mounts/mount-entry.ts";
import { FS_TYPE } from "./mount-arguments.ts";
import { hasOptions, listProcesses } from "./processes.ts";

export interface PreviousMount {
  readonly path: string;
  readonly program: "rclone" | "mountaineer-fs";
}

/** The program of such a mount; null: another home made the mount. */
export async function previousProgramOf(
  home: string,
  { type, path }: MountEntry,
): Promise<PreviousMount["program"] | null> {
  if (type !== "fuse.rclone" && type !== FS_TYPE) return null;
  const serving = (await listProcesses(/^(rclone|mountaineer-fs)/)).find((one) =>
    one.arguments.includes(path),
  );
  const isOfHome = serving?.environment.some((one) => one.includes(`=${home}/`)) === true;
  if (!isOfHome || (type === FS_TYPE && hasOptions(serving))) return null;
  return type === FS_TYPE ? "mountaineer-fs" : "rclone";
}

export async function findPreviousMounts(
  home: string,
  entries: readonly MountEntry[],
): Promise<readonly PreviousMount[]> {
  const found = entries.map(async (entry) => {
    const program = await previousProgramOf(home, entry);
    return program === null ? [] : [{ path: entry.path, program }];
  });
  return (await Promise.all(found)).flat();
}

/** How many files in rclone's caches below `folder` are not on their server. */
export async function countWaitingFiles(folder: string): Promise<number> {
  const options = { recursive: true, withFileTypes: true } as const;
  const entries = await readdir(folder, options).catch(recoverFrom(isSystemError, []));
  const records = entries.filter((entry) => entry.isFile() && /\/vfsMeta(?:\/|$)/.test(entry.parentPath));
  const waiting = records.map(async ({ parentPath, name }) => {
    const text = await readFile(join(parentPath, name), "utf8").catch(recoverFrom(isSystemError, ""));
    return jsonObject(text)?.["Dirty"] === true;
  });
  return (await Promise.all(waiting)).filter((isWaiting) => isWaiting).length;
}
