// Where the package's launcher is: the program to write down for later, as builds come and go.
import { fileURLToPath } from "node:url";

/** This file is two folders deep in the package, bundled or not. */
export function launcherPath(): string {
  return fileURLToPath(new URL("../../bin/mountaineer", import.meta.url));
}
