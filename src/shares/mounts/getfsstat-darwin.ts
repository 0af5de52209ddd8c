// Reads the mount table from macOS's kernel. With MNT_NOWAIT no file system is asked: a hung mount does not block it.

import { loadForeignLibrary } from "../../network/native/foreign-library.ts";
import type { MountEntry } from "./mount-entry.ts";

const MNT_NOWAIT = 2;
/** Room for mounts that are made between counting and reading. */
const SPARE = 8;

type Getfsstat = (buffer: Uint8Array | null, bytes: number, flags: number) => number;

/**
 * Loads getfsstat. `library`: the path of a test double; null for the system's own. Rejects when koffi or the
 * function is missing.
 */
export async function loadGetfsstat(library: string | null = null): Promise<() => readonly MountLine[]> {
  const system = await loadForeignLibrary(library);
  const declare = (name: string): Getfsstat => system.declare(name, "int", ["uint8_t *", "int", "int"]);
  let getfsstat: Getfsstat;
  try {
    // On Intel, `getfsstat` without the suffix fills the old layout with 32-bit inode numbers.
    getfsstat = declare("getfsstat$INODE64");
  } catch {
    getfsstat = declare("getfsstat");
  }
  const countInto = (buffer: Buffer | null): number => {
    const count = getfsstat(buffer, buffer?.length ?? 0, MNT_NOWAIT);
    if (count < 0) throw new Error(`getfsstat failed: errno ${system.errno()}`);
    return count;
  };
  return () => {
    for (let count = countInto(null); ; ) {
      const capacity = count + SPARE;
      const buffer = Buffer.alloc(capacity * STATFS_BYTES);
      count = countInto(buffer);
      // If the buffer is full, the last mounts may be missing.
      if (count < capacity) return readStatfs(buffer, count);
    }
  };
}

/** `type`: `smbfs`, `apfs`, …; `options` as words: `nodev`, `read-only`, … */
export interface MountLine extends Omit<MountEntry, "id" | "deviceMinor"> {
  /** The kernel's id of the file system, different for each mount. */
  readonly fsid: string;
  /** Id of the user who made the mount. */
  readonly ownerId: number;
}

/**
 * ```
 *    0 u32 f_bsize      4 i32 f_iosize    8 u64 f_blocks   16 u64 f_bfree    24 u64 f_bavail   32 u64 f_files
 *   40 u64 f_ffree     48 i32[2] f_fsid  56 u32 f_owner   60 u32 f_type     64 u32 f_flags    68 u32 f_fssubtype
 *   72 char[16] f_fstypename             88 char[1024] f_mntonname        1112 char[1024] f_mntfromname
 * 2136 u32 f_flags_ext                 2140 u32[7] f_reserved
 * ```
 */
export const STATFS_BYTES = 2168;
const FSID = 48;
const OWNER = 56;
const FLAGS = 64;
const TYPE_NAME = { at: 72, length: 16 };
const MOUNTED_ON = { at: 88, length: 1024 };
const MOUNTED_FROM = { at: 1112, length: 1024 };

/** The words that `mount` prints for these flags. */
const FLAG_NAMES: readonly (readonly [flag: number, word: string])[] = [
  [0x1, "read-only"],
  [0x2, "synchronous"],
  [0x4, "noexec"],
  [0x8, "nosuid"],
  [0x10, "nodev"],
  [0x1000, "local"],
  [0x10_0000, "nobrowse"],
  [0x20_0000, "noowners"],
  [0x40_0000, "automounted"],
  [0x80_0000, "journaled"],
  [0x1000_0000, "noatime"],
];

/** Reads the first `count` entries. Both kinds of Mac are little-endian. */
function readStatfs(bytes: Buffer, count: number): readonly MountLine[] {
  const lines: MountLine[] = [];
  for (let index = 0; index < count; index++) {
    const entry = bytes.subarray(index * STATFS_BYTES, (index + 1) * STATFS_BYTES);
    const flags = entry.readUInt32LE(FLAGS);
    lines.push({
      fsid: `${entry.readInt32LE(FSID)}:${entry.readInt32LE(FSID + 4)}`,
      path: textAt(entry, MOUNTED_ON),
      type: textAt(entry, TYPE_NAME),
      source: textAt(entry, MOUNTED_FROM),
      options: FLAG_NAMES.filter(([flag]) => (flags & flag) !== 0).map(([, name]) => name),
      ownerId: entry.readUInt32LE(OWNER),
    });
  }
  return lines;
}

function textAt(entry: Buffer, { at, length }: { at: number; length: number }): string {
  const field = entry.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.toString("utf8", 0, end === -1 ? length : end);
}
