// Zip archives, and ones with lies in them.
import { crc32, deflateRawSync } from "node:zlib";

interface ZipFile {
  readonly name: string;
  readonly content: string | Buffer;
  readonly isStored?: boolean;
  /** As Unix gives it, with its type; default: unknown. */
  readonly mode?: number;
  /** What the archive says of its checksum; default: the truth. */
  readonly saidChecksum?: number;
  /** What the archive says of its length; default: the truth. */
  readonly saidBytes?: number;
}

export function zipOf(files: readonly ZipFile[]): Buffer {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content, isStored = false, mode = 0, saidChecksum, saidBytes } of files) {
    const plain = Buffer.from(content);
    const packed = isStored ? plain : deflateRawSync(plain);
    const header = Buffer.alloc(26);
    header.writeUInt16LE(20, 0);
    header.writeUInt16LE(isStored ? 0 : 8, 4);
    header.writeUInt32LE(saidChecksum ?? crc32(plain), 10);
    header.writeUInt32LE(packed.length, 14);
    header.writeUInt32LE(saidBytes ?? plain.length, 18);
    header.writeUInt16LE(Buffer.byteLength(name), 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE((mode << 16) >>> 0, 6);
    place.writeUInt32LE(offset, 10);
    const body = Buffer.concat([Buffer.from("PK\x03\x04"), header, Buffer.from(name), packed]);
    directory.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), header, place, Buffer.from(name)]));
    bodies.push(body);
    offset += body.length;
  }
  const entries = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(entries.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...bodies, entries, end]);
}
