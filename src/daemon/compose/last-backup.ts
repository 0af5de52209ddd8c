// When the home was last backed up on this machine.
import { join } from "node:path";
import { keepPrivateFile, readIfPresent } from "../../runtime/files/durable-file.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isoTime, systemClock } from "../../runtime/time/clock.ts";

const pathIn = (home: string): string => join(home, "backup.json");

/** The backup is whole already: a home that cannot be written keeps the time before. */
export async function recordBackup(home: string): Promise<void> {
  const record = `{"time":"${isoTime(systemClock.wallMs())}"}\n`;
  await keepPrivateFile(pathIn(home), record, { mode: 0o600 }).catch(() => {});
}

/** ISO 8601 UTC; null: never. */
export async function lastBackup(home: string): Promise<string | null> {
  const time = jsonObject((await readIfPresent(pathIn(home))) ?? "")?.["time"];
  return typeof time === "string" ? time : null;
}
