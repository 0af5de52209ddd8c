// Looks at a mount by a name that nobody has asked for: since macOS 15 the SMB client answers a readdir from its memory
// for up to a minute, but a name that it never saw goes to the server, and ENOENT from there is the proof of life.
import { randomUUID } from "node:crypto";
import { lstat } from "node:fs";
import { join } from "node:path";
import { type LookAtMount, lookAtMountLinux } from "./mount-look-linux.ts";

/** Hidden, in case some tool ever shows it; nothing of that name is made. */
const PREFIX = ".mountaineer-look-";

/** Asks for one name and returns how that failed; null: there is such a name. */
type AskName = (path: string, answer: (error: NodeJS.ErrnoException | null) => void) => void;

/**
 * Asks for the name first. Then reads the root as on Linux: even from memory this shows whether the mount may be listed
 * at all (privacy, rights), and whether there is a folder, because a missing root answers ENOENT, too.
 */
export function createLookAtMountDarwin(askName: AskName, list: LookAtMount): LookAtMount {
  return (path, done) => {
    askName(join(path, `${PREFIX}${randomUUID()}`), (error) => {
      if (error !== null && error.code !== "ENOENT") done(error.code ?? error.message);
      else list(path, done);
    });
  };
}

export const lookAtMountDarwin: LookAtMount = createLookAtMountDarwin(lstat, lookAtMountLinux);
