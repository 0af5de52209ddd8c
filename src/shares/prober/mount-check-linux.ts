// Checks a mount by an uncached readdir of its root, because stat and statfs still answer on a dead mount.
import { opendir } from "node:fs/promises";
import { errnoOf } from "./file-checks.ts";

/** Resolves with null when the mount answers and may be listed, else with the errno's name. May never resolve. */
export type CheckMount = (path: string) => Promise<string | null>;

/** The kernel returns at least this many entries at once, so a smaller folder is read by one call. */
const ENTRIES_AT_ONCE = 256;

export const checkMountLinux: CheckMount = async (path) => {
  try {
    // Reads at most ENTRIES_AT_ONCE entries: a folder of 100,000 is not read through.
    const root = await opendir(path, { bufferSize: ENTRIES_AT_ONCE });
    await root.read().finally(() => root.close());
    return null;
  } catch (error) {
    return errnoOf(error);
  }
};
