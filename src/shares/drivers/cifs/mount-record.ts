// A record in the share's folder of how the share was mounted: the kernel's table shows neither which
// program mounted it nor its port.
import { join } from "node:path";
import { readIfPresent } from "../../../runtime/files/durable-file.ts";
import { nullable, number, object, reader, type TypeOf, text } from "../../../runtime/shape.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import type { MountEntry } from "../../mounts/mount-entry.ts";
import { writeIfChanged } from "../share-files.ts";

const recordShape = object({
  /** The mount path, as the mount table spells it. */
  path: text,
  source: text,
  /** The server's port. */
  port: number,
  /**
   * `port`: the relay's, on this machine. `host`: the preferred host at the time of the mount, because
   * `source` names only this machine.
   */
  carried: nullable(object({ port: number, host: text })),
});
/** `carried` null: the mount connects to the server in `source` directly. */
export type CifsRecord = Readonly<TypeOf<typeof recordShape>>;
const recordOf = reader(recordShape);

const FILE_NAME = "cifs.json";

/** `folder`: the share's own folder. Resolves with null if it has no record, or one that Mountaineer did not write. */
export async function readCifsRecord(folder: string): Promise<CifsRecord | null> {
  const content = await readIfPresent(join(folder, FILE_NAME));
  return recordOf({ carried: null, ...jsonObject(content ?? "") });
}

export async function writeCifsRecord(
  folder: string,
  { path, source, port, carried }: CifsRecord,
): Promise<void> {
  const content = JSON.stringify({ path, source, port, ...(carried === null ? {} : { carried }) });
  await writeIfChanged(join(folder, FILE_NAME), `${content}\n`);
}

/** Whether the record is about this mount. The kernel shows every backslash of a source as a slash. */
export function isRecorded(entry: MountEntry, record: CifsRecord | null): record is CifsRecord {
  if (record === null || (entry.type !== "cifs" && entry.type !== "smb3")) return false;
  return entry.path === record.path && entry.source === record.source.replaceAll("\\", "/");
}
