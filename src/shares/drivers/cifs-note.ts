// Owns the note of what was mounted for a share: who made a mount, and its port, are not in the kernel's table.
import { join } from "node:path";
import { readIfPresent } from "../../runtime/durable-file.ts";
import { jsonObject } from "../../runtime/json-object.ts";
import type { MountEntry } from "../mount-entry.ts";
import { writeIfChanged } from "./rclone-files.ts";

export interface CifsNote {
  /** As the mount table spells it. */
  readonly path: string;
  readonly source: string;
  readonly port: number;
}

export interface CifsNotes {
  /** `folder`: the share's own. null: there is none, or none that can be read. */
  read(folder: string): Promise<CifsNote | null>;
  write(folder: string, note: CifsNote): Promise<void>;
}

const FILE_NAME = "cifs.json";

export function createCifsNotes(): CifsNotes {
  const known = new Map<string, CifsNote | null>();
  return {
    async read(folder) {
      const before = known.get(folder);
      if (before !== undefined) return before;
      const note = parseCifsNote(await readIfPresent(join(folder, FILE_NAME)));
      const now = known.get(folder);
      if (now !== undefined) return now;
      known.set(folder, note);
      return note;
    },
    async write(folder, note) {
      known.set(folder, note);
      const { path, source, port } = note;
      await writeIfChanged(join(folder, FILE_NAME), `${JSON.stringify({ path, source, port })}\n`);
    },
  };
}

/** Whether it is the mount that the note tells of. The kernel shows every backslash of a source as a slash. */
export function isNoted(entry: MountEntry, note: CifsNote | null): note is CifsNote {
  if (note === null || (entry.type !== "cifs" && entry.type !== "smb3")) return false;
  return entry.path === note.path && entry.source === note.source.replaceAll("\\", "/");
}

/** null for what is no note of ours, whole and of this form. */
export function parseCifsNote(text: string | null): CifsNote | null {
  const { path, source, port } = jsonObject(text ?? "") ?? {};
  if (typeof path !== "string" || typeof source !== "string" || typeof port !== "number") return null;
  return { path, source, port };
}
