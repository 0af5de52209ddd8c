// Owns where the shell programs that accompany backends are.
import { fileURLToPath } from "node:url";

/** In the package's `bin`, of which our own file is at another depth in the sources than in the bundle (dist/cli). */
export function programPath(name: "backend-launch.sh" | "backend-warden.sh"): string {
  const root = import.meta.url.endsWith(".ts") ? "../../.." : "../..";
  return fileURLToPath(new URL(`${root}/bin/${name}`, import.meta.url));
}
