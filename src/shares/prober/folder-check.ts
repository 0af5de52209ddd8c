// Checks that a folder of a share exists; never leaves the share. It touches the mount, so only the prober runs it.
import { opendir, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { systemErrorCode } from "../../runtime/errors.ts";
import type { FolderCheck } from "./prober.ts";

/**
 * `root`: the path of the share, possibly through links; `subpath`: from there. Reads one entry and follows no link in the
 * folder. Never rejects.
 */
export async function checkFolder(root: string, subpath: string): Promise<FolderCheck> {
  try {
    const top = await realpath(root);
    const folder = await realpath(join(root, subpath));
    if (!isInside(folder, top)) return { state: "outside" };
    const opened = await opendir(folder, { bufferSize: 1 });
    await opened.read().finally(() => opened.close());
    return { state: "there" };
  } catch (error) {
    return { state: "failed", errno: systemErrorCode(error) ?? "EIO" };
  }
}

function isInside(path: string, top: string): boolean {
  return path === top || path.startsWith(top.endsWith(sep) ? top : `${top}${sep}`);
}
