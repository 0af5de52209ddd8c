// Finds the mount program, mountaineer-fs, which mounts shares: the one beside this build, else the one that was installed into the home. It
// runs from a copy in the home, because mounts outlive the package that it came from.
import { lstat, mkdir, readdir, readFile, readlink, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isSystemError, recoverFrom } from "../runtime/errors.ts";
import { entryExists, writeDurably } from "../runtime/files/durable-file.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import { verifiedPath } from "../runtime/process/build-copy.ts";
import { isProgram } from "../runtime/process/find-program.ts";
import { readProcesses } from "../runtime/process/process-identity.ts";

export const PROGRAM_NAME = "mountaineer-fs";

/** Of a bundle, or what `npm run mount` made for a clone. This module lies two folders deep in sources and builds. */
const BUNDLED = fileURLToPath(new URL(`../../mount-program/${PROGRAM_NAME}`, import.meta.url));

/** The program beside this build, which may be missing. */
export const BUNDLED_PROGRAMS = [BUNDLED];

/** Holds the installed program, and copies of those that serve mounts. */
export function programFolder(home: string): string {
  return join(home, "mount-program");
}

export function installedProgram(home: string): string {
  return join(programFolder(home), "installed", PROGRAM_NAME);
}

/** What `npm run mount` runs; only a clone has it. */
export const BUILD_SCRIPT = new URL("../../scripts/mount.ts", import.meta.url);

/** Whether this is a clone, in which `npm run mount` builds the program. */
export function canBuildProgram(): Promise<boolean> {
  return entryExists(fileURLToPath(BUILD_SCRIPT));
}

/** Says that there is no program, and how to get one. */
export async function missingProgram(): Promise<{ readonly text: string; readonly hint: string }> {
  const hint = (await canBuildProgram())
    ? "build it: npm run mount (in the clone)"
    : "take one that `npm run mount` built in a clone: mountaineer program install FILE";
  return { text: "the program that mounts shares, mountaineer-fs, is not installed", hint };
}

export type MountProgram = ReturnType<typeof createMountProgram>;

interface KnownCopy {
  readonly source: string;
  readonly copy: string;
}

/** `bundled`: default: beside this build. */
export function createMountProgram(home: string, bundled = BUNDLED) {
  let known: KnownCopy | null = null;
  /** The copy that is being made: shares are mounted side by side. */
  let inTheMaking: Promise<string> | null = null;

  const find = async (): Promise<string | null> => {
    for (const file of [verifiedPath(bundled), installedProgram(home)])
      if (await isProgram(file)) return file;
    return null;
  };

  return {
    /** The program; null: there is none. Cheap enough for every cycle. */
    find,
    /** The program's copy in the home, made if it is missing; null: there is no program. On a full disk, the program itself. */
    async copy(): Promise<string | null> {
      const file = await find();
      if (file === null) return null;
      const { size, mtimeMs } = await stat(file);
      const source = `${file} ${size} ${mtimeMs}`;
      if (known?.source === source && (await isProgram(known.copy))) return known.copy;
      try {
        inTheMaking ??= copyInto(programFolder(home), file).finally(() => {
          inTheMaking = null;
        });
        known = { source, copy: await inTheMaking };
        return known.copy;
      } catch (error) {
        if (!isSystemError(error)) throw error;
        return file;
      }
    },
  };
}

/** Copies the program into a folder named after its content, and removes copies that no process runs. */
async function copyInto(folder: string, file: string): Promise<string> {
  const content = await readFile(file);
  const target = join(folder, sha256Of(content).slice(0, 12));
  const copy = join(target, PROGRAM_NAME);
  if (!(await isProgram(copy))) {
    await mkdir(target, { recursive: true, mode: 0o700 });
    await writeDurably(copy, content, { mode: 0o700 });
  }
  const running = await runningPrograms();
  for (const name of await readdir(folder)) {
    const other = join(folder, name);
    const isUsed = other === target || running.some((one) => one.startsWith(`${other}/`));
    if (!isUsed && /^(?:[\da-f]{12}|untried)$/.test(name)) await removeCopy(other);
  }
  return copy;
}

/** Removes a copy's folder, unless something else is in it. Never follows a link. */
export async function removeCopy(folder: string): Promise<void> {
  const found = await lstat(folder).catch(recoverFrom(isSystemError, null));
  if (found?.isDirectory() !== true) return;
  await rm(join(folder, PROGRAM_NAME), { force: true });
  await rmdir(folder).catch(recoverFrom(isSystemError, undefined));
}

/** The files that processes were started from, as far as this user may see them; none if the system has no `/proc`. */
function runningPrograms(): Promise<readonly string[]> {
  return readProcesses(async (pid) => readlink(`/proc/${pid}/exe`).catch(recoverFrom(isSystemError, null)));
}
