// Detects files that came into a home with a copy of another home; and where a restore records what it does.
import { stat } from "node:fs/promises";
import { recoverFrom } from "../errors.ts";

/**
 * True if the file comes from another home than `home`. A home that was moved counts as the same one.
 * `recorded`: the home in which the file was written, or a folder in it.
 */
export async function belongsToOtherHome(recorded: string | undefined, home: string): Promise<boolean> {
  if (recorded === undefined || recorded === home) return false;
  const [there, here] = await Promise.all(
    [recorded, home].map((one) => stat(one).catch(recoverFrom("ENOENT", null))),
  );
  return there != null && here != null && (there.dev !== here.dev || there.ino !== here.ino);
}

/** The record beside a home while a backup is restored there. */
export function restoreRecordPath(home: string): string {
  return `${home}.restore.json`;
}
