// The note of a share's mount: the kernel's table shows neither which program mounted it nor its port.
import { join } from "node:path";
import { readIfPresent } from "../../../runtime/files/durable-file.ts";
import { nullable, number, object, reader, type TypeOf, text } from "../../../runtime/shape.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import type { MountEntry } from "../../mounts/mount-entry.ts";
import { writeIfChanged } from "../share-files.ts";

const noteShape = object({
  /** The mount path, as the mount table spells it. */
  path: text,
  source: text,
  /** The server's port. */
  port: number,
  /**
   * `port`: the carrier's, on this machine. `host`: the preferred host at the time of the mount, because
   * `source` names only this machine.
   */
  carried: nullable(object({ port: number, host: text })),
});
/** `carried` null: the mount talks to the server in `source` directly. */
export type CifsNote = Readonly<TypeOf<typeof noteShape>>;
const noteOf = reader(noteShape);

export type CifsNotes = ReturnType<typeof createCifsNotes>;

const FILE_NAME = "cifs.json";

export function createCifsNotes() {
  const known = new Map<string, CifsNote | null>();
  return {
    /** `folder`: the share's own. null: there is no note, or it cannot be read. */
    async read(folder: string): Promise<CifsNote | null> {
      const before = known.get(folder);
      if (before !== undefined) return before;
      const content = await readIfPresent(join(folder, FILE_NAME));
      const note = content === null ? null : noteOf({ carried: null, ...jsonObject(content) });
      const now = known.get(folder);
      if (now !== undefined) return now;
      known.set(folder, note);
      return note;
    },
    async write(folder: string, note: CifsNote): Promise<void> {
      known.set(folder, note);
      const { path, source, port, carried } = note;
      const content = JSON.stringify({ path, source, port, ...(carried === null ? {} : { carried }) });
      await writeIfChanged(join(folder, FILE_NAME), `${content}\n`);
    },
  };
}

/** Whether the note is about this mount. The kernel shows every backslash of a source as a slash. */
export function isNoted(entry: MountEntry, note: CifsNote | null): note is CifsNote {
  if (note === null || (entry.type !== "cifs" && entry.type !== "smb3")) return false;
  return entry.path === note.path && entry.source === note.source.replaceAll("\\", "/");
}
