// The records in a home about its backups: when it was last backed up on this machine; and, once `backup --stop` has taken it
// elsewhere, that its daemon starts again only when a person says so.
import { unlink } from "node:fs/promises";
import { join } from "node:path";
import { MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { keepPrivateFile, readIfPresent } from "../../runtime/files/durable-file.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isoTime, systemClock } from "../../runtime/time/clock.ts";

const pathIn = (home: string, kind: "backup" | "moved"): string => join(home, `${kind}.json`);

async function write(home: string, kind: "backup" | "moved", file?: string): Promise<void> {
  const record = { time: isoTime(systemClock.wallMs()), file };
  await keepPrivateFile(pathIn(home, kind), `${JSON.stringify(record)}\n`, { mode: 0o600 });
}

/** The backup is whole already: a home that cannot be written keeps the time before. */
export async function recordBackup(home: string): Promise<void> {
  await write(home, "backup").catch(() => {});
}

/** ISO 8601 UTC; null: never. */
export async function lastBackup(home: string): Promise<string | null> {
  const time = jsonObject((await readIfPresent(pathIn(home, "backup"))) ?? "")?.["time"];
  return typeof time === "string" ? time : null;
}

export const markMoved = (home: string, file: string): Promise<void> => write(home, "moved", file);

/** Says that `backup --stop` has taken the home elsewhere; null: it has not. */
export async function moveOf(home: string): Promise<string | null> {
  const text = await readIfPresent(pathIn(home, "moved")).catch(recoverFrom("ENOTDIR", null));
  const { time, file } = jsonObject(text ?? "") ?? {};
  return text === null ? null : `${home} was moved with the backup ${String(file)}, at ${String(time)}`;
}

/** Rejects with `home_moved`. */
export async function requireNotMoved(home: string): Promise<void> {
  const moved = await moveOf(home);
  if (moved !== null)
    throw new MountaineerError("home_moved", moved, { hint: "at a terminal, mountaineer up asks first" });
}

export async function forgetMove(home: string): Promise<void> {
  await unlink(pathIn(home, "moved")).catch(recoverFrom("ENOENT", undefined));
}
