// Reads the bytes of a configuration file, of which nothing is expected: it may be a pipe, or far too large.
import { constants } from "node:fs";
import { type FileHandle, open, readlink } from "node:fs/promises";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { requireResponsiveDisk } from "../../runtime/process/responsive-disk.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { LARGEST_FILE_BYTES } from "./source-text.ts";

const CHUNK_BYTES = 64 * 1024;

async function readAtMost(file: FileHandle, limit: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length < limit) {
    const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, limit - length));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, length);
    if (bytesRead === 0) break;
    chunks.push(chunk.subarray(0, bytesRead));
    length += bytesRead;
  }
  return Buffer.concat(chunks);
}

/** Reads the file's bytes, at most one more than is allowed. Rejects with `config_unreadable`. */
export async function readConfigBytes(path: string): Promise<Uint8Array> {
  try {
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = await file.stat();
    if (!status.isFile()) {
      const message = `${path} is ${status.isDirectory() ? "a folder" : "a pipe or device"}, not a file`;
      const away = shellCommand`mv ${path} ${`${path}.away`}`;
      const isMovable = status.isDirectory() || status.isFIFO();
      const hint =
        isMovable && !/^\/(?:dev|proc|sys)\//.test(path)
          ? `move it away, and put the file there: ${away}`
          : null;
      throw new MountaineerError("config_unreadable", message, { hint });
    }
    return await readAtMost(file, LARGEST_FILE_BYTES + 1);
  } catch (error) {
    if (error instanceof MountaineerError) throw error;
    const isMissing = systemErrorCode(error) === "ENOENT";
    const target = isMissing ? await readlink(path).catch(() => null) : null;
    const [what, hint] =
      target === null
        ? [
            `cannot be read: ${errorText(error)}`,
            isMissing ? `${shellCommand`mountaineer init --config ${path}`} writes one to begin with` : null,
          ]
        : [`is a link to ${target}, which is not there`, "put the file there, or remove the link"];
    const details = { cause: error, retry: "later", hint } as const;
    throw new MountaineerError("config_unreadable", `${path} ${what}`, details);
  }
}

/** Reads the file as `readConfigBytes` does, if its disk answers; null if there is no file. */
export async function readConfigIfPresent(path: string): Promise<Uint8Array | null> {
  try {
    await requireResponsiveDisk(path);
    return await readConfigBytes(path);
  } catch (error) {
    if (error instanceof MountaineerError && systemErrorCode(error.cause) === "ENOENT") return null;
    throw error;
  }
}

/** Decodes UTF-8 and keeps a byte order mark; invalid bytes become U+FFFD. null is "". */
export function decodedText(bytes: Uint8Array | null): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes ?? new Uint8Array());
}
