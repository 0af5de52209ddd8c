// Finds this package's own programs.
import { fileURLToPath, pathToFileURL } from "node:url";
import { verifiedPath } from "./build-copy.ts";

/**
 * Returns the URL of the program `name` in the folder of the module that starts it: `.js` in a build, `.ts` in a
 * checkout. The compiler rewrites only import paths, not strings. If the build was removed or replaced since the daemon
 * started, the URL is that of its copy. Throws `program_unavailable` if the copy has also changed.
 */
export function programBeside(moduleUrl: string, name: string): URL {
  const url = new URL(`./${name}.${moduleUrl.endsWith(".ts") ? "ts" : "js"}`, moduleUrl);
  return pathToFileURL(verifiedPath(fileURLToPath(url)));
}
