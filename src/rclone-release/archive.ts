// Reads rclone's archive from a local file or over https, bounded in length and time, and unpacks a file of it.
import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { inflateRaw } from "node:zlib";
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

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const COMMENT_AT_MOST = 0xffff;
const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
const ENCRYPTED = 1;
const STORED = 0;
const DEFLATED = 8;

export interface ZipEntry {
  readonly name: string;
  /** Rejects when the archive is damaged, or the entry longer than `atMostBytes`. */
  read(atMostBytes: number): Promise<Buffer>;
}

/** The entries of the central directory. Throws when the archive is damaged. */
export function* zipEntries(zip: Buffer): Generator<ZipEntry> {
  const end = endOfDirectory(zip);
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    expectSignature(zip, at, ENTRY_SIGNATURE);
    const entry = at;
    const nameEnd = at + ENTRY_BYTES + zip.readUInt16LE(at + 28);
    const name = zip.toString("utf8", at + ENTRY_BYTES, nameEnd);
    yield { name, read: (atMostBytes) => content(zip, entry, atMostBytes) };
    at = nameEnd + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
}

/** The content of the entry with exactly this name; null: no such entry. */
export async function readZipEntry(zip: Buffer, name: string, atMostBytes: number): Promise<Buffer | null> {
  for (const entry of zipEntries(zip)) if (entry.name === name) return await entry.read(atMostBytes);
  return null;
}

/** The offset of the end record; only the archive's comment comes after it. */
function endOfDirectory(zip: Buffer): number {
  const first = Math.max(0, zip.length - END_BYTES - COMMENT_AT_MOST);
  for (let at = zip.length - END_BYTES; at >= first; at--) {
    if (zip.readUInt32LE(at) === END_SIGNATURE) return at;
  }
  throw new Error("it is not a zip archive, or its end is missing");
}

async function content(zip: Buffer, entry: number, atMostBytes: number): Promise<Buffer> {
  const method = zip.readUInt16LE(entry + 10);
  const packedBytes = zip.readUInt32LE(entry + 20);
  const bytes = zip.readUInt32LE(entry + 24);
  const local = zip.readUInt32LE(entry + 42);
  if (bytes > atMostBytes)
    throw new Error(`the file in it is too large: ${bytes} bytes, at most ${atMostBytes}`);
  expectSignature(zip, local, LOCAL_SIGNATURE);
  const start = local + LOCAL_BYTES + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const packed = zip.subarray(start, start + packedBytes);
  const isKnown = method === STORED || method === DEFLATED;
  if (!isKnown || (zip.readUInt16LE(entry + 8) & ENCRYPTED) !== 0) {
    throw new Error("it is encrypted, or compressed by an unknown method");
  }
  // Inflates at most one byte more than the declared length, which a malicious archive may understate.
  const plain =
    method === STORED ? packed : await promisify(inflateRaw)(packed, { maxOutputLength: bytes + 1 });
  if (plain.length !== bytes) throw new Error(`the file in it has ${plain.length} bytes, not ${bytes}`);
  return plain;
}

function expectSignature(zip: Buffer, at: number, signature: number): void {
  if (zip.readUInt32LE(at) !== signature) throw new Error("its directory is broken");
}
