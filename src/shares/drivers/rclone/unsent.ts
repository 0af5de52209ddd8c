// Finds unsent files (pending uploads), written to a share and not on its server yet, by rclone's metadata on the local
// disk.
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { recoverFrom, systemErrorCode } from "../../../runtime/errors.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import { splitMetadata } from "./cache-metadata.ts";
import { REMOTE_NAME } from "./files.ts";

/** Maximum number of files that are read in one write cache. */
const METADATA_AT_MOST = 20_000;
const AT_ONCE = 16;

interface CachedMetadata {
  readonly mtimeMs: number;
  readonly size: number;
  /** `torn`: rclone is just writing the note, or was killed while it did. */
  readonly state: "sent" | "unsent" | "torn";
}

export type UnsentWrites = ReturnType<typeof createUnsentWrites>;

/** Reads notes again only when they changed. `most`: how many files of a cache are read. */
export function createUnsentWrites(most = METADATA_AT_MOST) {
  const byFolder = new Map<string, Map<string, CachedMetadata>>();
  const metadataIn = async (root: string, atMost = most): Promise<ReadonlyMap<string, CachedMetadata>> => {
    const known = byFolder.get(root) ?? new Map<string, CachedMetadata>();
    const next = new Map<string, CachedMetadata>();
    const paths = await listFiles(root, atMost);
    for (let index = 0; index < paths.length; index += AT_ONCE) {
      const some = paths.slice(index, index + AT_ONCE);
      const entries = await Promise.all(some.map((path) => readMetadata(join(root, path), known.get(path))));
      entries.forEach((entry, offset) => {
        const path = some[offset];
        if (entry !== null && path !== undefined) next.set(path, entry);
      });
    }
    byFolder.set(root, next);
    return next;
  };
  const unsentIn = async (root: string, atMost = most): Promise<readonly string[]> =>
    [...(await metadataIn(root, atMost))]
      .filter(([, { state }]) => state !== "sent")
      .map(([path]) => path)
      .sort();
  return {
    /** Returns paths inside the share, sorted; empty if there is no cache. */
    of: (cacheFolder: string, shareName: string, atMost?: number): Promise<readonly string[]> =>
      unsentIn(join(cacheFolder, "vfsMeta", REMOTE_NAME, shareName), atMost),
    /** Paths in the whole cache, sorted: the remote's name, the share's name, and the path inside the share. */
    all: (cacheFolder: string): Promise<readonly string[]> => unsentIn(join(cacheFolder, "vfsMeta")),
    /** Whether the cache has no unsent file; reads all of its notes. */
    isNone: async (cacheFolder: string): Promise<boolean> =>
      (await unsentIn(join(cacheFolder, "vfsMeta"), Number.POSITIVE_INFINITY)).length === 0,
    /**
     * Whether rclone is writing a note now: a kill would leave the note unreadable, and the file would be
     * lost.
     */
    async unsettled(cacheFolder: string): Promise<boolean> {
      const metadata = await metadataIn(join(cacheFolder, "vfsMeta"));
      return metadata.values().some(({ state }) => state === "torn");
    },
  };
}

export async function listFiles(root: string, atMost = METADATA_AT_MOST): Promise<readonly string[]> {
  const files: string[] = [];
  const folders = [""];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await readdir(join(root, folder), { withFileTypes: true }).catch(
      recoverFrom(["ENOENT", "ENOTDIR"], []),
    )) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else files.push(path);
      if (files.length + folders.length >= atMost) return files;
    }
  }
  return files;
}

async function readMetadata(path: string, known: CachedMetadata | undefined): Promise<CachedMetadata | null> {
  try {
    const { mtimeMs, size } = await stat(path);
    if (known?.mtimeMs === mtimeMs && known.size === size && known.state !== "torn") return known;
    return { mtimeMs, size, state: stateOf(await readFile(path, "utf8")) };
  } catch (error) {
    // The file was sent in the meantime, and rclone removed its note.
    if (systemErrorCode(error) === "ENOENT") return null;
    throw error;
  }
}

function stateOf(text: string): CachedMetadata["state"] {
  const metadata = jsonObject(splitMetadata(text).json);
  if (metadata === null) return "torn";
  return metadata["Dirty"] === true ? "unsent" : "sent";
}
