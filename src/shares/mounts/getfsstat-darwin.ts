// Reads the mount table from macOS's kernel. With MNT_NOWAIT no file system is asked: a hung mount does not block it.
import { loadForeignLibrary } from "../../network/native/foreign-library.ts";
import type { MountLine } from "./mount-output-darwin.ts";
import { readStatfs, STATFS_BYTES } from "./statfs-darwin.ts";

const MNT_NOWAIT = 2;
/** Mounts may be made between counting and reading. */
const SPARE = 8;
const TRIES = 5;

type Getfsstat = (buffer: Uint8Array | null, bytes: number, flags: number) => number;

/** `library`: the path of a test double; null for the system's own. Rejects when koffi or the function is missing. */
export async function loadGetfsstat(library: string | null = null): Promise<() => readonly MountLine[]> {
  const system = await loadForeignLibrary(library);
  const declare = (name: string): Getfsstat => system.declare(name, "int", ["uint8_t *", "int", "int"]);
  let getfsstat: Getfsstat;
  try {
    // On Intel the plain name is the old layout with 32-bit inode numbers.
    getfsstat = declare("getfsstat$INODE64");
  } catch {
    getfsstat = declare("getfsstat");
  }
  return () => {
    let count = getfsstat(null, 0, MNT_NOWAIT);
    for (let tries = 0; tries < TRIES; tries++) {
      if (count < 0) throw new Error(`getfsstat failed: errno ${system.errno()}`);
      const room = count + SPARE;
      const buffer = Buffer.alloc(room * STATFS_BYTES);
      count = getfsstat(buffer, buffer.length, MNT_NOWAIT);
      // If the buffer is full, there may have been no room for the last ones.
      if (count >= 0 && count < room) return readStatfs(buffer, count);
      count = Math.max(count, room);
    }
    throw new Error("the table of mounts grew faster than it was read");
  };
}
