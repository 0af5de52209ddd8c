// Looks at a mount by an uncached readdir of its root: stat and statfs go on answering on a dead mount.
import { opendir } from "node:fs";

/** Calls back with null when the mount answers and may be listed, else with the errno's name. May never call back. */
export type LookAtMount = (path: string, done: (errno: string | null) => void) => void;

export const lookAtMountLinux: LookAtMount = (path, done) => {
  // One entry is enough: a folder of 100,000 is not read through.
  opendir(path, { bufferSize: 1 }, (openError, folder) => {
    if (openError !== null) done(nameOf(openError));
    else folder.read((readError) => folder.close(() => done(readError === null ? null : nameOf(readError))));
  });
};

function nameOf(error: NodeJS.ErrnoException): string {
  return error.code ?? error.message;
}
