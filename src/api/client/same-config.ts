// Compares configuration files: a daemon that runs with another one than `--config` names must not be asked.
import { realpath } from "node:fs/promises";
import { expecting, isSystemError, MountaineerError } from "../../runtime/errors.ts";

/** Rejects with `usage` when the daemon that runs with `running` is not the one that `asked` means. */
export async function requireSameConfig(running: string, asked: string): Promise<void> {
  if (await isSameFile(running, asked)) return;
  throw new MountaineerError("usage", `the running daemon uses ${running}, not ${asked}`, {
    hint: "leave --config away, or stop the daemon first",
  });
}

/** Two names of one file are one configuration. */
export async function isSameFile(path: string, other: string): Promise<boolean> {
  const resolved = (one: string): Promise<string> => realpath(one).catch(expecting(isSystemError, one));
  return (await resolved(path)) === (await resolved(other));
}
