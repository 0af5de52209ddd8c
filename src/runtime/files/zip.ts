// Reads zip archives in memory.
import { promisify } from "node:util";
import { crc32, inflateRaw } from "node:zlib";

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
  /** The mode that Unix gives it, with its type; 0: unknown. */
  readonly mode: number;
  /** As the directory says, packed and unpacked. */
  readonly packedBytes: number;
  readonly bytes: number;
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
    const [packedBytes, bytes] = [zip.readUInt32LE(at + 20), zip.readUInt32LE(at + 24)];
    const mode = zip.readUInt32LE(at + 38) >>> 16;
    yield { name, mode, packedBytes, bytes, read: (atMostBytes) => content(zip, entry, atMostBytes) };
    at = nameEnd + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
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
  if (crc32(plain) !== zip.readUInt32LE(entry + 16)) throw new Error("a file in it is damaged");
  return plain;
}

function expectSignature(zip: Buffer, at: number, signature: number): void {
  if (zip.readUInt32LE(at) !== signature) throw new Error("its directory is broken");
}
