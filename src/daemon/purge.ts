// What `uninstall --purge` removes besides the service: keyring entries, and files by their names. Whatever else is in
// the same folders stays, and so does what is mounted there.
import type { Dirent } from "node:fs";
import { lstat, readdir, readFile, realpath, rmdir, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { namedSchema } from "../config/edit/starter.ts";
import { isSystemError, recoverFrom } from "../runtime/errors.ts";
import { entryExists } from "../runtime/files/durable-file.ts";
import { isRunning } from "../runtime/process/process-identity.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { createKeyring } from "../secrets/keyring.ts";
import { sealingKeyName } from "../secrets/sealing-key.ts";
import { openSecretStore } from "../secrets/secret-store.ts";
import { fsFilesIn } from "../shares/drivers/fs/mount-arguments.ts";
import { readProgramFile } from "../shares/drivers/fs/processes.ts";
import { shareMountsFolder } from "../shares/drivers/share-files.ts";
import type { MountTable } from "../shares/mounts/mount-entry.ts";
import { createMountTable } from "../shares/mounts/mount-table.ts";
import { logFilePath } from "./compose/log-settings.ts";
import { EMPTY_FOLDERS, HOME_FILES, HOME_FOLDERS, SEALED_NAMES } from "./home-files.ts";

const KEYRING_WITHIN_MS = 30_000;
/** The keys of sealed files are removed separately, because the list of secrets does not contain them. */
const SEALING_KEYS = SEALED_NAMES.map(sealingKeyName);
const FILES = [...HOME_FILES.map(({ path }) => path), ...EMPTY_FOLDERS].join("|");
/** Also older files, files set aside because they were corrupt, and unfinished ones of writers that were killed. */
const OURS = new RegExp(`^(?:${FILES})(?:\\.\\d{1,3}|\\.corrupt(?:-[\\dTZ.-]+)?|\\.set-aside|\\.new)?$`);
const UNFINISHED = /(^|\/)\.([^/]+)\.\d{1,10}-[0-9a-f]{12}\.tmp$/;
const LOG = /^mountaineer(?:-launchd)?\.log(?:\.\d{1,3})?$/;

/** Whether Mountaineer makes files or folders with this path, in which a folder ends in `/`. */
type IsOurs = (path: string, isLink?: boolean) => boolean;
const isOursByName: IsOurs = (path) => OURS.test(path.replace(UNFINISHED, "$1$2"));
const isInOurFolder: IsOurs = (path) => HOME_FOLDERS.includes(path.split("/")[0] ?? "");

/** Files of a person in our folders: set aside, or written to a mount path while nothing was mounted. */
const PERSONS = /^(?:volumes|mounts\/[^/]+\/set-aside)\/.*[^/]$/s;
const isPersons: IsOurs = (path, isLink = false) =>
  // In `volumes`, a symbolic link is the mount path of a share with driver `local`.
  PERSONS.test(path) && !(isLink && path.split("/").length === 2);

const UNREAD = ["ENOENT", "ENOTDIR", "EACCES", "EPERM"];
const STAYS = [...UNREAD, "ENOTEMPTY", "EEXIST", "EBUSY", "EROFS"];

/** Removes the home's secrets and sealing keys from the keyring. Rejects with `secret_unavailable`. */
export async function clearKeyring(home: string, signal: AbortSignal): Promise<void> {
  const options = { home, clock: systemClock, environment: process.env };
  const store = openSecretStore(options);
  for (const { name, kept } of await store.list()) if (kept !== "file") await store.remove(name, signal);
  const keyring = createKeyring(options);
  const limits = { deadlineMs: KEYRING_WITHIN_MS, signal };
  // Without a keyring that answers, the keys are in files of the home.
  if (keyring === null || (await keyring.unusableBecause(limits)) !== null) return;
  for (const name of SEALING_KEYS) await keyring.remove(name, limits);
}

/**
 * Files in the home that are not on the NAS: files set aside, and, in the usual home, files that programs wrote to a
 * mount path while nothing was mounted. Mounts are not looked into.
 */
export async function filesNotOnNas(
  home: string,
  isUsual: boolean,
  table?: MountTable,
): Promise<readonly string[]> {
  const real = await realpath(home).catch(recoverFrom("ENOENT", home));
  const found: string[] = [];
  for await (const { path, isLink } of walk(real, isInOurFolder, await mountedPaths(table)))
    if (isPersons(path, isLink) && (isUsual || !path.startsWith("volumes/"))) found.push(join(real, path));
  return found;
}

/**
 * What still uses the folders of a home: mounts in those that a purge of the usual home removes whole, and the
 * processes of any share that this home ever had.
 */
export async function mountsIn(
  home: string,
  isUsual: boolean,
  table?: MountTable,
): Promise<readonly string[]> {
  // The mount table has real paths.
  const real = await realpath(home).catch(recoverFrom("ENOENT", home));
  const inside = [...(await mountedPaths(table))].filter(
    (path) => isUsual && path.startsWith(`${real}/`) && isInOurFolder(path.slice(real.length + 1)),
  );
  const root = shareMountsFolder(real);
  const folders = (await entriesOf(root)).filter((entry) => entry.isDirectory());
  const programs = await Promise.all(
    folders.map(async ({ name }) => {
      const program = await readProgramFile(fsFilesIn(join(root, name)));
      return program !== null && (await isRunning(program)) ? [program] : [];
    }),
  );
  return [
    ...inside.map((path) => `something is mounted at ${path}`),
    ...programs.flat().map(({ pid, mounted }) => `a program (pid ${pid}) still serves ${mounted}`),
  ];
}

interface PurgedHome {
  /** Its folders go with all that is in them. Elsewhere only files with Mountaineer's names go, and the folders that this empties. */
  readonly isUsual: boolean;
  /** Always stays. */
  readonly userHome: string;
  /** The configuration file in use. */
  readonly config: string;
}

/**
 * Removes what Mountaineer has made in its home, and the home if it is empty then; resolves with what stays in it. Files
 * that the NAS does not have stay.
 */
export async function removeHome(
  home: string,
  { isUsual, userHome, config }: PurgedHome,
  table?: MountTable,
): Promise<readonly string[]> {
  const real = await realpath(home).catch(recoverFrom("ENOENT", null));
  if (real === null) return [];
  const text = await readFile(config, "utf8").catch(recoverFrom(isSystemError, ""));
  const files = [config, namedSchema(config, text)];
  const isOurs: IsOurs = (path, isLink) =>
    !isPersons(path, isLink) &&
    ((isUsual && isInOurFolder(path)) || isOursByName(path) || files.includes(join(home, path)));
  await removeOurs(real, isOurs, table);
  const left = await readdir(real);
  if (left.length > 0 || real === (await realpath(userHome).catch(recoverFrom("ENOENT", null)))) return left;
  await removeIfEmpty(real);
  const isLink = (await lstat(home).catch(recoverFrom("ENOENT", null)))?.isSymbolicLink() === true;
  if (isLink && !(await entryExists(real))) await unlink(home);
  return [];
}

/** Removes what is ours in a folder, without following links or crossing mount points. Everything else stays. */
export async function removeOurs(root: string, isOurs: IsOurs, table?: MountTable): Promise<void> {
  const emptied = new Set<string>();
  for await (const { path, isLink } of walk(root, isOurs, await mountedPaths(table))) {
    if (!isOurs(path, isLink) && !emptied.has(path)) continue;
    const at = join(root, path);
    await (path.endsWith("/") ? removeIfEmpty(at) : unlink(at).catch(recoverFrom(STAYS)));
    emptied.add(`${dirname(path)}/`);
  }
}

/** All that is in those folders of `root` that may be entered, each folder after what is in it. */
async function* walk(
  root: string,
  mayEnter: IsOurs,
  mounted: ReadonlySet<string>,
  folder = "",
): AsyncGenerator<{ readonly path: string; readonly isLink: boolean }> {
  const deviceOf = async (path: string) =>
    (await lstat(join(root, path)).catch(recoverFrom(UNREAD, null)))?.dev;
  const device = await deviceOf(folder);
  for (const entry of await entriesOf(join(root, folder))) {
    const path = join(folder, entry.name);
    if (mounted.has(join(root, path))) continue;
    const isFolder = entry.isDirectory();
    if (isFolder) {
      const isEntered = folder !== "" || mayEnter(`${path}/`);
      if (!isEntered || (await deviceOf(path)) !== device) continue;
      yield* walk(root, mayEnter, mounted, path);
    }
    yield { path: isFolder ? `${path}/` : path, isLink: entry.isSymbolicLink() };
  }
}

/** The real paths of all mounts. */
export async function mountedPaths(
  table: MountTable = createMountTable({ clock: systemClock }),
): Promise<ReadonlySet<string>> {
  return new Set((await table.read(systemClock.monotonicMs())).map(({ path }) => path));
}

function entriesOf(folder: string): Promise<Dirent[]> {
  return readdir(folder, { withFileTypes: true }).catch(recoverFrom(UNREAD, []));
}

/** Removes the usual home's log, the files that it was before, and their folder if it is Mountaineer's and empty then. */
export async function removeLog(home: string, userHome: string): Promise<void> {
  const folder = dirname(logFilePath({ home, userHome, environment: process.env }));
  for (const entry of await entriesOf(folder))
    if (!entry.isDirectory() && LOG.test(entry.name)) await unlink(join(folder, entry.name));
  if (basename(folder) === "mountaineer") await removeIfEmpty(folder);
}

/** Removes a folder if it is empty. Does nothing if it does not exist, or may not be removed. */
export async function removeIfEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch(recoverFrom(STAYS));
}
