// Checks a mount by looking up a new random name. Since macOS 15 the SMB client may answer a readdir from its cache for
// up to a minute, but it asks the server about an unknown name; ENOENT from the server proves that the mount is alive.
import { randomUUID } from "node:crypto";
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "./file-checks.ts";
import { type CheckMount, checkMountLinux } from "./mount-check-linux.ts";

/** Begins with a dot, so that the name is hidden if a tool ever shows it. No file of that name is made. */
const PREFIX = ".mountaineer-look-";

/**
 * First asks for a name that does not exist, then lists the root as on Linux. The listing, even from the cache, shows
 * whether the mount may be listed (privacy, rights) and whether it exists, because a missing root also gives ENOENT for
 * the name.
 */
export function createCheckMountDarwin(
  probeName: (path: string) => Promise<unknown>,
  list: CheckMount,
): CheckMount {
  return async (path) => {
    const errno = await probeName(join(path, `${PREFIX}${randomUUID()}`)).then(() => "ENOENT", errnoOf);
    return errno === "ENOENT" ? list(path) : errno;
  };
}

export const checkMountDarwin: CheckMount = createCheckMountDarwin(lstat, checkMountLinux);
