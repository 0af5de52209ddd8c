// Where an installed rclone lies in the home: `rclone/VERSION/rclone`, and `rclone/current` says which VERSION is used.
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

/** Of a bundle, which brings one; a build has one folder as the sources have this one, two deep. */
const BUNDLED = fileURLToPath(new URL("../../rclone/rclone", import.meta.url));

/**
 * The program that `mountaineer rclone install` put into the home, else the one that came with this Mountaineer; null: none,
 * so the system's is meant.
 */
export async function installedRclone(home: string): Promise<string | null> {
  // What cannot be read must keep no share from being mounted.
  const version = (await readIfPresent(currentVersionPath(home)).catch(() => null))?.trim() ?? "";
  const bundled = (await isProgram(BUNDLED)) ? BUNDLED : null;
  if (!/^\d+(\.\d+)+(-[\w.]+)?$/.test(version)) return bundled;
  const program = installedProgramPath(home, version);
  return (await isProgram(program)) ? program : bundled;
}

/** What to start: the home's, else the bundle's, else the first of that name on PATH. */
export async function rcloneProgram(home: string): Promise<string> {
  return (await installedRclone(home)) ?? "rclone";
}
