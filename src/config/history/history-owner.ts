// Finds the history entries of a configuration file, recorded under any spelling of its path.
import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isExpectedError, recoverFrom } from "../../runtime/errors.ts";
import { requireResponsiveDisk } from "../../runtime/process/responsive-disk.ts";

/** Resolves to the path without symlinks; null: there is no file, or the disk did not answer in time. */
export type RealPath = (path: string) => Promise<string | null>;

/** The configuration file of an entry. */
export interface EntryFile {
  /** Absolute, as it was spelled. */
  readonly path: string;
  /** The real path of the file, without symlinks. */
  readonly realPath: string | null;
}

/** Resolves the path in this process, if its disk answers. For commands. */
export const ownRealPath: RealPath = async (path) => {
  try {
    await requireResponsiveDisk(path);
    return await realpath(path);
  } catch (error) {
    return recoverFrom(isExpectedError, null)(error);
  }
};

/**
 * Finds the owner of history entries. The file at `configPath` (absolute) owns the entries recorded under this path,
 * and entries of the same file under other paths. A symlink that now leads to another file thus keeps its history.
 */
export async function findHistoryOwner(
  configPath: string,
  entries: readonly EntryFile[],
  realPath: RealPath,
): Promise<{ readonly file: EntryFile; owns(entry: EntryFile): boolean }> {
  const real = await realFile(configPath, realPath);
  const names = new Set(real === null ? [configPath] : [configPath, real]);
  for (const path of unresolved(entries, names)) {
    if (real !== null && (await realFile(path, realPath)) === real) names.add(path);
  }
  return {
    file: { path: configPath, realPath: real },
    owns: ({ path, realPath }) => names.has(path) || (realPath !== null && names.has(realPath)),
  };
}

/** Recorded paths that may lead to this file: they have its file name, and no recorded real path. */
function unresolved(entries: readonly EntryFile[], names: ReadonlySet<string>): Set<string> {
  const fileNames = [...names].map((name) => basename(name));
  return new Set(
    entries.flatMap(({ path, realPath }) =>
      realPath === null && !names.has(path) && fileNames.includes(basename(path)) ? [path] : [],
    ),
  );
}

/**
 * The real path of a file, or its future real path if it does not exist. null if its folder does not exist.
 */
async function realFile(path: string, realPath: RealPath): Promise<string | null> {
  const real = await realPath(path);
  if (real !== null) return real;
  const folder = await realPath(dirname(path));
  return folder === null ? null : join(folder, basename(path));
}
