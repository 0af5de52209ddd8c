// Whether a file in a home was written there, or came with a copy of another home.
import { stat } from "node:fs/promises";
import { expecting } from "../errors.ts";

/** `noted`: where it was written; undefined: not known. A home that was moved is still the one that it was. */
export async function isOfOtherHome(noted: string | undefined, home: string): Promise<boolean> {
  if (noted === undefined || noted === home) return false;
  const [there, here] = await Promise.all(
    [noted, home].map((one) => stat(one).catch(expecting("ENOENT", null))),
  );
  return there != null && here != null && (there.dev !== here.dev || there.ino !== here.ino);
}
