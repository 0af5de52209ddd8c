// Lists the folders in a folder of a share, or checks that the folder exists; never leaves the share. It touches the
// mount, so only the prober runs it.
import { opendir, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { systemErrorCode } from "../../runtime/errors.ts";
import type { FolderListing } from "./prober.ts";

/** Maximum number of listed folders: a longer list is of no use to a person. */
const FOLDER_LIMIT = 5_000;
/** Maximum number of entries that are read. */
const ENTRY_LIMIT = 100_000;
/** Maximum number of symlinks that are followed to find folders inside the share. */
const LINK_LIMIT = 200;
const ENTRIES_AT_ONCE = 128;

/**
 * `root`: the path of the share, possibly through links; `subpath`: from there, "" for the root. A symlink that leads
 * out of the share is `outside`, and is not listed. Never rejects.
 */
export function listFolders(root: string, subpath: string): Promise<FolderListing> {
  return inFolder(root, subpath, namesIn);
}

/** Checks only that the folder exists and may be read. Reads one entry and follows no link in the folder. */
export function checkFolder(root: string, subpath: string): Promise<FolderListing> {
  return inFolder(root, subpath, async (folder) => {
    const opened = await opendir(folder, { bufferSize: 1 });
    await opened.read().finally(() => opened.close());
    return { state: "listed", folders: [], truncated: true };
  });
}

async function inFolder(
  root: string,
  subpath: string,
  read: (folder: string, top: string) => Promise<FolderListing>,
): Promise<FolderListing> {
  try {
    const top = await realpath(root);
    const folder = subpath === "" ? top : await realpath(join(root, subpath));
    if (!isInside(folder, top)) return { state: "outside" };
    return await read(folder, top);
  } catch (error) {
    return { state: "failed", errno: systemErrorCode(error) ?? "EIO" };
  }
}

function isInside(path: string, top: string): boolean {
  return path === top || path.startsWith(top.endsWith(sep) ? top : `${top}${sep}`);
}

async function namesIn(folder: string, top: string): Promise<FolderListing> {
  const folders: string[] = [];
  const links: string[] = [];
  let count = 0;
  let truncated = false;
  for await (const entry of await opendir(folder, { bufferSize: ENTRIES_AT_ONCE })) {
    count += 1;
    if (count > ENTRY_LIMIT || folders.length >= FOLDER_LIMIT) {
      truncated = true;
      break;
    }
    if (entry.isDirectory()) folders.push(entry.name);
    else if (entry.isSymbolicLink() && links.length < LINK_LIMIT) links.push(entry.name);
  }
  for (const name of links) if (await leadsToFolder(join(folder, name), top)) folders.push(name);
  return { state: "listed", folders, truncated };
}

async function leadsToFolder(path: string, top: string): Promise<boolean> {
  try {
    const target = await realpath(path);
    if (!isInside(target, top)) return false;
    await (await opendir(target)).close();
    return true;
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    return false;
  }
}
