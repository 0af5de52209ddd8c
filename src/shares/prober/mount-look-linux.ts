// Looks at a mount by an uncached readdir of its root, because stat and statfs still answer on a dead mount.
import { opendir, readdir } from "node:fs/promises";
import { errnoOf } from "./file-looks.ts";

/** Resolves with null when the mount answers and may be listed, else with the errno's name. May never resolve. */
export type LookAtMount = (path: string) => Promise<string | null>;

/** The kernel returns at least this many entries at once, so a smaller folder is read by one call. */
const ENTRIES_AT_ONCE = 256;

/** Roots that had few entries at the last look. One readdir of them takes one turn of a thread, `readStart` three. */
const smallRoots = new Set<string>();

export const lookAtMountLinux: LookAtMount = async (path) => {
  try {
    const count = await (smallRoots.has(path) ? readdir(path).then(({ length }) => length) : readStart(path));
    if (count < ENTRIES_AT_ONCE) smallRoots.add(path);
    else smallRoots.delete(path);
    return null;
  } catch (error) {
    smallRoots.delete(path);
    return errnoOf(error);
  }
};

/** Counts at most ENTRIES_AT_ONCE entries: a folder of 100,000 is not read through. */
async function readStart(path: string): Promise<number> {
  let count = 0;
  for await (const _ of await opendir(path, { bufferSize: ENTRIES_AT_ONCE })) {
    count += 1;
    if (count >= ENTRIES_AT_ONCE) break;
  }
  return count;
}
