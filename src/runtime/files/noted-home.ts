// Whether a file in a home was written there, or came with a copy of another home.
import { stat } from "node:fs/promises";
import { expecting } from "../errors.ts";

/** Both are homes, or the same folder in each. `noted`: where it was written. One that was moved is still what it was. */
export async function isOfOtherHome(noted: string | undefined, home: string): Promise<boolean> {
  if (noted === undefined || noted === home) return false;
  const [there, here] = await Promise.all(
    [noted, home].map((one) => stat(one).catch(expecting("ENOENT", null))),
  );
  return there != null && here != null && (there.dev !== here.dev || there.ino !== here.ino);
}
