// Compares configuration files. A command with `--config` must not ask a daemon that runs with another file.
import { realpath } from "node:fs/promises";
import { expecting, isSystemError, MountaineerError } from "../../runtime/errors.ts";

/** Rejects with `usage` if `running`, the daemon's file, is not the file `asked`. */
export async function requireSameConfig(running: string, asked: string): Promise<void> {
  if (await isSameFile(running, asked)) return;
  throw new MountaineerError("usage", `the running daemon uses ${running}, not ${asked}`, {
    hint: "leave --config away, or stop the daemon first",
  });
}

export async function isSameFile(path: string, other: string): Promise<boolean> {
  const resolved = (one: string): Promise<string> => realpath(one).catch(expecting(isSystemError, one));
  return (await resolved(path)) === (await resolved(other));
}
