// Reads rclone's archive from a local file or over https, bounded in length and time.
import { open } from "node:fs/promises";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { userAgent } from "../runtime/version.ts";

/** Limit of an archive's size; the archive of rclone 1.75 has about 30 MB. */
export const ARCHIVE_AT_MOST_BYTES = 128 * 1024 * 1024;
const REDIRECTS_AT_MOST = 5;

interface Limits {
  readonly signal: AbortSignal;
  readonly atMostBytes: number;
}

/** Reads a local archive. Rejects with `rclone_refused`. */
export async function readArchive(path: string, { signal, atMostBytes }: Limits): Promise<Buffer> {
  try {
    await using file = await open(path, "r");
    // A stream that begins with an aborted signal fails before anybody listens.
    signal.throwIfAborted();
    return await collected(file.createReadStream({ signal, autoClose: false }), atMostBytes);
  } catch (error) {
    signal.throwIfAborted();
    throw refused(`cannot read ${path}: ${errorText(error)}`, error);
  }
}

interface Download extends Limits {
  readonly withinMs: number;
  /** Hosts, with a port unless it is the usual one, to which a redirect may lead. */
  readonly redirectHosts: readonly string[];
}

/** Downloads an archive. Rejects with `rclone_refused`. */
export async function downloadArchive(
  address: string,
  { signal, atMostBytes, withinMs, redirectHosts }: Download,
): Promise<Buffer> {
  const deadline = AbortSignal.timeout(withinMs);
  try {
    const answer = await fetchFrom(address, redirectHosts, AbortSignal.any([signal, deadline]));
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    return await collected(answer.body ?? [], atMostBytes);
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const reason = deadline.aborted ? `not complete within ${withinMs / 1000} s` : errorText(cause);
    throw refused(`cannot download ${address}: ${reason}`, error);
  }
}

/** Follows redirects only to these hosts, and only within the address's own protocol. */
async function fetchFrom(address: string, hosts: readonly string[], signal: AbortSignal): Promise<Response> {
  let url = new URL(address);
  for (let redirects = 0; redirects <= REDIRECTS_AT_MOST; redirects++) {
    const answer = await fetch(url, { redirect: "manual", signal, headers: { "user-agent": userAgent() } });
    const location = answer.headers.get("location");
    if (location === null || answer.status < 300 || answer.status >= 400) return answer;
    await answer.body?.cancel();
    const next = new URL(location, url);
    if (next.protocol !== url.protocol || !hosts.includes(next.host))
      throw new Error(`it redirects to ${next.origin}, which is not an expected host`);
    url = next;
  }
  throw new Error(`more than ${REDIRECTS_AT_MOST} redirects`);
}

async function collected(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  atMostBytes: number,
): Promise<Buffer> {
  const collectedBytes: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    length += piece.length;
    if (length > atMostBytes) throw new Error(`it is longer than ${atMostBytes} bytes`);
    collectedBytes.push(piece);
  }
  return Buffer.concat(collectedBytes);
}

function refused(message: string, cause: unknown): MountaineerError {
  const hint =
    "nothing was changed; the archives are at https://rclone.org/downloads: mountaineer rclone install FILE";
  return new MountaineerError("rclone_refused", message, { hint, cause, retry: "later" });
}
