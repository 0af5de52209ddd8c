// Where this home was last started. A start in a home that was copied by hand reports it once.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { keepPrivateFile, readIfPresent } from "../runtime/files/durable-file.ts";
import { belongsToOtherHome } from "../runtime/files/home-marker.ts";
import { machineId } from "../runtime/process/machine-id.ts";
import { object, optional, reader, text } from "../runtime/shape.ts";
import { jsonObject } from "../runtime/text/json-object.ts";

/** `inode`: of the home's folder, which keeps it when it is renamed. */
const originOf = reader(object({ machine: optional(text), home: text, inode: text }));

/**
 * Where the home was copied from, recorded as known; null: it was not copied, or no start has recorded it yet, as in a
 * restored home. Rejects with the system's error.
 */
export async function noticeCopy(home: string, readMachine = machineId): Promise<string | null> {
  const path = join(home, "origin.json");
  const [content, read, { ino }] = await Promise.all([readIfPresent(path), readMachine(), stat(home)]);
  const before = originOf(jsonObject(content ?? ""));
  const machine = read ?? before?.machine;
  const origin = { ...(machine === undefined ? {} : { machine }), home, inode: String(ino) };
  const record = `${JSON.stringify(origin)}\n`;
  if (record === content) return null;
  const isElsewhere = before?.machine !== undefined && before.machine !== machine;
  const isSecond =
    before !== null && before.inode !== origin.inode && (await belongsToOtherHome(before.home, home));
  await keepPrivateFile(path, record, { mode: 0o600 });
  if (isElsewhere) return "another machine";
  return isSecond ? before.home : null;
}
