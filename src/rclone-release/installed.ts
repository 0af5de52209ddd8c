// Finds the rclone to start: the home's, the one beside this build, or the system's. The paths in the home are
// `rclone/VERSION/rclone`, and `rclone/current`, which names the VERSION in use.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { entryExists, readIfPresent } from "../runtime/files/durable-file.ts";
import { verifiedPath } from "../runtime/process/build-copy.ts";
import { isProgram } from "../runtime/process/find-program.ts";
import { parseRcloneVersion } from "./rclone-version.ts";

export function currentVersionPath(home: string): string {
  return join(home, "rclone", "current");
}

export function installedProgramPath(home: string, version: string): string {
  return join(home, "rclone", version, "rclone");
}

/**
 * The rclone of a bundle, or the one that `npm run engine` made for a clone, with its version beside it. The path is
 * relative to this module, which lies two folders deep in sources and builds.
 */
const BUNDLED = fileURLToPath(new URL("../../rclone/", import.meta.url));

/** The programs beside this build, which may be missing, with the version of rclone. */
export const RCLONE_BUNDLED = ["rclone", "version", "mountaineer-fs"].map((name) => join(BUNDLED, name));

/** An unreadable file must not prevent mounting. */
async function versionIn(file: string): Promise<string> {
  return (await readIfPresent(file).catch(() => null))?.trim() ?? "";
}

/**
 * Of the program that `mountaineer rclone install` put into the home and the one beside this build, the newer engine, else the
 * home's; null: neither exists. Starts no program, as each look at a share calls it.
 */
export async function installedRclone(home: string, folder = BUNDLED): Promise<string | null> {
  const named = process.env["MOUNTAINEER_RCLONE"] ?? "";
  if (named !== "") return named === "rclone" ? null : named;
  const bundled = verifiedPath(join(folder, "rclone"));
  const [version, bundledVersion, isBundled] = await Promise.all([
    versionIn(currentVersionPath(home)),
    versionIn(verifiedPath(join(folder, "version"))),
    isProgram(bundled),
  ]);
  const engineOf = (text: string): number => parseRcloneVersion(text)?.engine ?? 0;
  if (isBundled && engineOf(bundledVersion) > engineOf(version)) return bundled;
  const program = installedProgramPath(home, version);
  if (/^\d+(\.\d+)+(-[\w.]+)?$/.test(version) && (await isProgram(program))) return program;
  return isBundled ? bundled : null;
}

/** Our own file system, beside this build's rclone; null: it is not there. */
export async function fileSystemProgram(folder = BUNDLED): Promise<string | null> {
  const program = verifiedPath(join(folder, "mountaineer-fs"));
  return (await isProgram(program)) ? program : null;
}

/** Whether this is a clone, in which `npm run engine` builds the engine. */
export function canBuildEngine(): Promise<boolean> {
  return entryExists(fileURLToPath(new URL("../../scripts/engine.ts", import.meta.url)));
}

/** The program to start: `installedRclone`, else `rclone` on PATH. */
export async function rcloneProgram(home: string): Promise<string> {
  return (await installedRclone(home)) ?? "rclone";
}
