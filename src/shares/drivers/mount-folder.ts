// Owns the empty folder that a mount needs: made where nothing is, never taken from what is something.
import { lstat, mkdir, readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import type { MountFailure } from "./mount-driver.ts";

export type MountFolder =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: MountFailure; readonly text: string };

/** Call only when the mount table shows nothing at `path`. */
export async function ensureMountFolder(path: string): Promise<MountFolder> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await mkdir(path, { mode: 0o755 });
    return { ok: true };
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") return refused(path, error);
  }
  try {
    const stats = await lstat(path);
    if (!stats.isDirectory()) return taken(path, stats.isSymbolicLink() ? "a link" : "a file");
    const inside = await readdir(path);
    return inside.length === 0 ? { ok: true } : taken(path, `a folder with ${inside.length} entries`);
  } catch (error) {
    return refused(path, error);
  }
}

function taken(path: string, by: string): MountFolder {
  return { ok: false, reason: "path_taken", text: `${path} is ${by}; nothing is mounted over it` };
}

function refused(path: string, error: unknown): MountFolder {
  const code = systemErrorCode(error);
  if (code === null) throw error;
  const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
  return { ok: false, reason: denied ? "permission_denied" : "other", text: `${path}: ${errorText(error)}` };
}
