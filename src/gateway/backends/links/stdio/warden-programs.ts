// Where the shell programs that accompany backends are.
import { fileURLToPath } from "node:url";

/** A build has them beside its own programs; the sources, in the package's `bin`. */
export function programPath(name: "backend-launch.sh" | "backend-warden.sh"): string {
  const folder = import.meta.url.endsWith(".ts") ? "../../../../../bin" : ".";
  return fileURLToPath(new URL(`${folder}/${name}`, import.meta.url));
}
