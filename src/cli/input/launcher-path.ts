// Where the package's launcher is: the program to write down for later, as builds come and go.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** What runs the daemon for a service manager, of a launcher's package. */
export function keeperPath(launcher: string): string {
  return join(dirname(launcher), "service-keeper.sh");
}

/** A build has one folder, two deep in the package; the sources have this one, which is three deep. */
export function launcherPath(): string {
  const path = import.meta.url.endsWith(".ts") ? "../../../bin/mountaineer" : "../../bin/mountaineer";
  return fileURLToPath(new URL(path, import.meta.url));
}
