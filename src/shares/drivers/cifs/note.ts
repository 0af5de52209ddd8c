// A file about the mount of a share: the kernel's table shows neither who mounted it nor its port.
import { join } from "node:path";
import { readIfPresent } from "../../../runtime/files/durable-file.ts";
import { jsonObject, objectOf } from "../../../runtime/text/json-object.ts";
import type { MountEntry } from "../../mounts/mount-entry.ts";
import { writeIfChanged } from "../share-files.ts";

export interface CifsNote {
  /** As the mount table spells it. */
  readonly path: string;
  readonly source: string;
  /** The server's. */
  readonly port: number;
  /** null: the mount talks to the server in `source` directly. */
  readonly carried: CarriedNote | null;
}

interface CarriedNote {
  /** On this machine. */
  readonly port: number;
  /** The preferred host when it was mounted, because `source` only names this machine. */
  readonly host: string;
}

export type CifsNotes = ReturnType<typeof createCifsNotes>;

const FILE_NAME = "cifs.json";

export function createCifsNotes() {
  const known = new Map<string, CifsNote | null>();
  return {
    /** `folder`: the share's own. null: there is no note, or it cannot be read. */
    async read(folder: string): Promise<CifsNote | null> {
      const before = known.get(folder);
      if (before !== undefined) return before;
      const note = parseCifsNote(await readIfPresent(join(folder, FILE_NAME)));
      const now = known.get(folder);
      if (now !== undefined) return now;
      known.set(folder, note);
      return note;
    },
    async write(folder: string, note: CifsNote): Promise<void> {
      known.set(folder, note);
      const { path, source, port, carried } = note;
      const text = JSON.stringify({ path, source, port, ...(carried === null ? {} : { carried }) });
      await writeIfChanged(join(folder, FILE_NAME), `${text}\n`);
    },
  };
}

/** Whether it is the mount of the note. The kernel shows every backslash of a source as a slash. */
export function isNoted(entry: MountEntry, note: CifsNote | null): note is CifsNote {
  if (note === null || (entry.type !== "cifs" && entry.type !== "smb3")) return false;
  return entry.path === note.path && entry.source === note.source.replaceAll("\\", "/");
}

/** null unless it is a complete note of ours. */
function parseCifsNote(text: string | null): CifsNote | null {
  const { path, source, port, carried: noted } = jsonObject(text ?? "") ?? {};
  if (typeof path !== "string" || typeof source !== "string" || typeof port !== "number") return null;
  if (noted === undefined) return { path, source, port, carried: null };
  const carried = objectOf(noted);
  if (typeof carried["port"] !== "number" || typeof carried["host"] !== "string") return null;
  return { path, source, port, carried: { port: carried["port"], host: carried["host"] } };
}
