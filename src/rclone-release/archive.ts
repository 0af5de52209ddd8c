// The bytes of rclone's archive, from a local file or over https: bounded in length and time.
import { open } from "node:fs/promises";
import { errorText, MountaineerError } from "../runtime/errors.ts";

/** 1.76 has some 30 MB. */
export const ARCHIVE_AT_MOST_BYTES = 128 * 1024 * 1024;

interface Limits {
  readonly signal: AbortSignal;
  readonly atMostBytes: number;
}

/** Rejects with `rclone_refused`. */
export async function readArchive(path: string, { signal, atMostBytes }: Limits): Promise<Buffer> {
  try {
    await using file = await open(path, "r");
    return await collected(file.createReadStream({ signal, autoClose: false }), atMostBytes);
  } catch (error) {
    signal.throwIfAborted();
    throw refused(`${path} cannot be taken: ${errorText(error)}`, error);
  }
}

/** Follows no redirect. Rejects with `rclone_refused`. */
export async function downloadArchive(
  address: string,
  { signal, atMostBytes, withinMs }: Limits & { readonly withinMs: number },
): Promise<Buffer> {
  const deadline = AbortSignal.timeout(withinMs);
  try {
    const answer = await fetch(address, { redirect: "error", signal: AbortSignal.any([signal, deadline]) });
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    return await collected(answer.body ?? [], atMostBytes);
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const reason = deadline.aborted ? `not there within ${withinMs / 1000} s` : errorText(cause);
    throw refused(`${address} cannot be had: ${reason}`, error);
  }
}

async function collected(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  atMostBytes: number,
): Promise<Buffer> {
  const kept: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    length += piece.length;
    if (length > atMostBytes) throw new Error(`it is longer than ${atMostBytes} bytes`);
    kept.push(piece);
  }
  return Buffer.concat(kept);
}

function refused(message: string, cause: unknown): MountaineerError {
  const hint =
    "nothing was changed; the archives are at https://rclone.org/downloads: mountaineer rclone install FILE";
  return new MountaineerError("rclone_refused", message, { hint, cause, retry: "later" });
}
