// Decides whether a configuration is a suspect file, which waits for a person because it looks saved half: compares its
// content with the newest content of the history.
import { stat } from "node:fs/promises";
import { isSystemError, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { suspectBecause } from "../approval/loosens.ts";
import { configFormat, type HomeContext } from "../home-context.ts";
import { readTables } from "../read/load.ts";
import { openHistory } from "./history.ts";
import { ownRealPath } from "./history-owner.ts";

export const CUT_SHORT_HINT =
  "mountaineer config rollback 0 restores the last content; if the file is complete, apply it: mountaineer reload";

export function suspectError(why: string): MountaineerError {
  return new MountaineerError("config_cut_short", `${why}; it looks like half a file, and is not used`, {
    hint: CUT_SHORT_HINT,
  });
}

/**
 * Why the content waits for a person; null: it does not, or a link on the path leads elsewhere than for the newest
 * content. `inode`: that of the file that had the content; null: that of the file now. `isMovedIn`: that file was seen
 * moved in whole.
 */
export async function whySuspect(
  { path, homeContext }: { readonly path: string; readonly homeContext: HomeContext },
  bytes: Uint8Array,
  inode: string | null = null,
  isMovedIn = false,
): Promise<string | null> {
  const [newest] = await openHistory(homeContext.home, path).newest().catch(recoverFrom(isSystemError, []));
  if (newest === undefined || newest.entry.sha256 === sha256Of(bytes)) return null;
  const isNewFile = newest.inode !== null && newest.inode !== (inode ?? (await inodeAt(path)));
  const realPath = newest.realPath === null ? null : await ownRealPath(path);
  if (isNewFile && realPath !== null && realPath !== newest.realPath) return null;
  const contentOf = async (content: Uint8Array) => {
    const read = await readTables(content, path, configFormat(path));
    const isComplete = read.ok && !read.parsed.incomplete;
    return { text: Buffer.from(content).toString("latin1"), tables: isComplete ? read.value : null };
  };
  const arrival = { isNewFile, isMovedIn };
  const why = suspectBecause(await contentOf(bytes), await contentOf(newest.bytes), arrival);
  return why && `${path}: ${why}`;
}

/** The inode of the file; undefined: it cannot be read. */
export async function inodeAt(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(recoverFrom(isSystemError, null));
  return found === null ? undefined : String(found.ino);
}
