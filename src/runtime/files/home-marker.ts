// Detects files that came into a home with a copy of another home.
import { stat } from "node:fs/promises";
import { recoverFrom } from "../errors.ts";

/**
 * True if the file comes from another home than `home`. A home that was moved counts as the same one.
 * `noted`: the home in which the file was written, or a folder in it.
 */
export async function belongsToOtherHome(noted: string | undefined, home: string): Promise<boolean> {
  if (noted === undefined || noted === home) return false;
  const [there, here] = await Promise.all(
    [noted, home].map((one) => stat(one).catch(recoverFrom("ENOENT", null))),
  );
  return there != null && here != null && (there.dev !== here.dev || there.ino !== here.ino);
}
