// Compares configuration files. A command with `--config` must not ask a daemon that runs with another file.
import { realpath } from "node:fs/promises";
import { isSystemError, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { requireResponsiveDisk } from "../../runtime/process/responsive-disk.ts";

/** Rejects with `config_unreadable` if a disk does not answer, and with `usage` if `running`, the daemon's file, is not the file `requested`. */
export async function requireSameConfig(running: string, requested: string): Promise<void> {
  if (await isSameFile(running, requested)) return;
  throw new MountaineerError("usage", `the running daemon uses ${running}, not ${requested}`, {
    hint: "leave out --config, or stop the daemon first",
  });
}

export async function isSameFile(path: string, other: string): Promise<boolean> {
  if (path === other) return true;
  const resolved = async (one: string): Promise<string> => {
    await requireResponsiveDisk(one);
    return realpath(one).catch(recoverFrom(isSystemError, one));
  };
  return (await resolved(path)) === (await resolved(other));
}
