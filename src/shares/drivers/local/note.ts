// Owns the note of the link that stands for a local share: that it is ours must be known after a restart, too, when the
// configuration says nothing of its folder any more.
import { join } from "node:path";
import { systemErrorCode } from "../../../runtime/errors.ts";
import { ensureFolder, readIfPresent } from "../../../runtime/files/durable-file.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import { shareFiles, writeIfChanged } from "../share-files.ts";

interface LocalNote {
  readonly path: string;
  readonly folder: string;
}

/** null: there is none, or none that can be read. */
export async function readLocalNote(stateFolder: string, shareName: string): Promise<LocalNote | null> {
  try {
    const { path, folder } = jsonObject((await readIfPresent(notePath(stateFolder, shareName))) ?? "") ?? {};
    return typeof path === "string" && typeof folder === "string" ? { path, folder } : null;
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    return null;
  }
}

export async function writeLocalNote(stateFolder: string, shareName: string, note: LocalNote): Promise<void> {
  const { path, folder } = note;
  try {
    await ensureFolder(shareFiles(stateFolder, shareName).folder, 0o700);
    await writeIfChanged(notePath(stateFolder, shareName), `${JSON.stringify({ path, folder })}\n`);
  } catch (error) {
    // While this process runs it is known anyway, and no share is to be down for it.
    if (systemErrorCode(error) === null) throw error;
  }
}

function notePath(stateFolder: string, shareName: string): string {
  return join(shareFiles(stateFolder, shareName).folder, "local.json");
}
