// The note in a home that `backup --stop` has taken elsewhere: its daemon starts again only when a person says so.
import { unlink } from "node:fs/promises";
import { join } from "node:path";
import { MountaineerError, recoverFrom } from "../runtime/errors.ts";
import { keepPrivateFile, readIfPresent } from "../runtime/files/durable-file.ts";
import { jsonObject } from "../runtime/text/json-object.ts";
import { isoTime, systemClock } from "../runtime/time/clock.ts";

const pathIn = (home: string): string => join(home, "moved.json");

export async function markMoved(home: string, file: string): Promise<void> {
  const record = { time: isoTime(systemClock.wallMs()), file };
  await keepPrivateFile(pathIn(home), `${JSON.stringify(record)}\n`, { mode: 0o600 });
}

/** Rejects with `home_moved`. */
export async function requireNotMoved(home: string): Promise<void> {
  const text = await readIfPresent(pathIn(home));
  if (text === null) return;
  const { time, file } = jsonObject(text) ?? {};
  throw new MountaineerError(
    "home_moved",
    `${home} was moved with the backup ${String(file)}, at ${String(time)}`,
    { hint: "if it was not restored elsewhere, mountaineer up starts it again" },
  );
}

export async function forgetMove(home: string): Promise<void> {
  await unlink(pathIn(home)).catch(recoverFrom("ENOENT", undefined));
}
