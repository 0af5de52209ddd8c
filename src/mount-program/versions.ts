// Earlier versions of a file or folder, which mountaineer-fs shows below `.versions/TIME` of a share from the server's snapshots.
import { mkdir, open, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { MountaineerError, recoverFrom } from "../runtime/errors.ts";
import { runCommand } from "../runtime/process/child-process.ts";
import { shellCommand } from "../runtime/text/plain-text.ts";

export interface Version {
  /** When the snapshot was made, as the folder of `.versions` is named. */
  readonly time: string;
  readonly path: string;
  readonly folder: boolean;
  readonly bytes: number;
  readonly modified_at: string;
}

const VERSIONS = ".versions";

const ABSENT = ["ENOENT", "ENOTDIR"];

/** A copy of a whole folder takes its time. */
const COPY_AT_MOST_MS = 24 * 3_600_000;

/** The versions that differ from the next newer one, newest first. PATH may be gone. */
export async function versionsOf(path: string): Promise<readonly Version[]> {
  const { root, inside } = await mountOf(path);
  const times = await readdir(join(root, VERSIONS)).catch(recoverFrom(ABSENT, null));
  if (times === null)
    throw new MountaineerError("path_unknown", `${path}: no snapshots of it are shown`, {
      hint: "it must be on a share that mountaineer-fs has mounted, of a server that shows snapshots (Previous Versions) over SMB",
    });
  const versions: Version[] = [];
  for (const time of times.sort().reverse()) {
    const there = join(root, VERSIONS, time, inside);
    const stats = await stat(there).catch(recoverFrom(ABSENT, null));
    if (stats === null) continue;
    const [folder, modified_at] = [stats.isDirectory(), stats.mtime.toISOString()];
    const newer = versions.at(-1);
    if (!folder && newer?.bytes === stats.size && newer.modified_at === modified_at) versions.pop();
    versions.push({ time, path: there, folder, bytes: folder ? 0 : stats.size, modified_at });
  }
  return versions;
}

/** The root of the mount that has that path, and the path in it. */
export async function mountOf(path: string): Promise<{ readonly root: string; readonly inside: string }> {
  let existing = resolve(path);
  let real = await realpath(existing).catch(recoverFrom(ABSENT, null));
  while (real === null) {
    existing = dirname(existing);
    real = await realpath(existing).catch(recoverFrom(ABSENT, null));
  }
  const inside = join(real, relative(existing, resolve(path)));
  const { dev } = await stat(real);
  let root = real;
  while (root !== "/" && (await stat(dirname(root))).dev === dev) root = dirname(root);
  return { root, inside: relative(root, inside) };
}

/**
 * Copies the version of that time to `to`; where both are on one share, the server copies. A present file is only replaced with
 * `force`, a folder never. `from`: a time of `versionsOf`, or how only one of them begins.
 */
export async function restoreVersion(
  { path, from, to, force }: Readonly<{ path: string; from: string; to: string; force: boolean }>,
  signal: AbortSignal,
): Promise<Version> {
  const found = (await versionsOf(path)).filter(({ time }) => time.startsWith(from));
  const [version, another] = found;
  if (version === undefined || another !== undefined)
    throw new MountaineerError("path_unknown", `${path} has ${found.length} versions of ${from}`, {
      hint: shellCommand`mountaineer versions ${path}`,
    });
  const present = await stat(to).catch(recoverFrom(ABSENT, null));
  if (present !== null && (!force || version.folder || present.isDirectory()))
    throw new MountaineerError("path_taken", `${to} exists`, {
      hint: version.folder || present.isDirectory() ? "name another place: --to" : "replace it: --force",
    });
  const made = force ? join(dirname(to), `.${basename(to)}.restored-${process.pid}`) : to;
  // Exclusively: no other file is ever written over.
  if (version.folder) await mkdir(made);
  else await (await open(made, "wx")).close();
  try {
    const args = version.folder ? ["-Rp", `${version.path}/.`, made] : ["-p", version.path, made];
    const limits = { deadlineMs: COPY_AT_MOST_MS, signal };
    const { exitCode, stderr } = await runCommand("cp", args, limits);
    if (exitCode !== 0) throw new MountaineerError("path_unknown", stderr.trim());
    if (force) await rename(made, to);
  } catch (error) {
    await rm(made, { recursive: true, force: true });
    throw error;
  }
  return version;
}
