// Reads a file of the home, and refuses what is not a plain file.
import { lstat, readFile } from "node:fs/promises";
import { systemErrorCode } from "../errors.ts";

/**
 * The file's text; null: there is none. Rejects for anything but a plain file (reading a pipe would wait for its
 * writer), for more than `largestBytes`, and with the system's error.
 */
export async function readRegularFile(path: string, largestBytes: number): Promise<string | null> {
  try {
    const found = await lstat(path);
    if (!found.isFile()) throw new Error("it is not a regular file");
    if (found.size > largestBytes) throw new Error(`it has ${found.size} bytes`);
    return await readFile(path, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    throw error;
  }
}
