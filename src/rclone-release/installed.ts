// The paths of an installed rclone in the home: `rclone/VERSION/rclone`, and `rclone/current`, which names the VERSION in use.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readIfPresent } from "../runtime/files/durable-file.ts";
import { isProgram } from "../runtime/process/find-program.ts";

export function currentVersionPath(home: string): string {
  return join(home, "rclone", "current");
}

export function installedProgramPath(home: string, version: string): string {
  return join(home, "rclone", version, "rclone");
}

/** The rclone of a bundle. The path is relative to this module, which lies two folders deep in sources and builds. */
const BUNDLED = fileURLToPath(new URL("../../rclone/rclone", import.meta.url));

/** The program that `mountaineer rclone install` put into the home, else the bundle's; null: neither exists. */
export async function installedRclone(home: string): Promise<string | null> {
  // An unreadable file must not prevent mounting.
  const version = (await readIfPresent(currentVersionPath(home)).catch(() => null))?.trim() ?? "";
  const bundled = (await isProgram(BUNDLED)) ? BUNDLED : null;
  if (!/^\d+(\.\d+)+(-[\w.]+)?$/.test(version)) return bundled;
  const program = installedProgramPath(home, version);
  return (await isProgram(program)) ? program : bundled;
}

/** The program to start: the home's, else the bundle's, else `rclone` on PATH. */
export async function rcloneProgram(home: string): Promise<string> {
  return (await installedRclone(home)) ?? "rclone";
}
