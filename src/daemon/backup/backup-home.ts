// Backs up a home into one encrypted file, and restores it. For commands only: it may wait for a keyring.
import { createReadStream } from "node:fs";
import { lstat, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import type { RestoreReport } from "../../api/in-process.ts";
import { FROM_BACKUP } from "../../config/history/history.ts";
import { isUsualHome } from "../../config/values/paths.ts";
import { isOwnError, isSystemError, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import {
  ensurePrivateFolder,
  entryExists,
  removeLeftovers,
  syncFolder,
  writeDurably,
} from "../../runtime/files/durable-file.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { acquireHomeLock, readLockOwner } from "../../runtime/process/home-lock.ts";
import { jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import { systemClock as clock } from "../../runtime/time/clock.ts";
import { createKeyring } from "../../secrets/keyring.ts";
import { sessionKeyring } from "../../secrets/sealed-file.ts";
import { sealingKeyName } from "../../secrets/sealing-key.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import type { Keyring } from "../../secrets/system-keyring.ts";
import { recordBackup } from "../compose/backup-records.ts";
import { backedUp, SEALED_NAMES } from "../home-files.ts";
import { mountedPaths, mountsIn } from "../purge.ts";
import { BEGIN, openBackup, readBackupFile, refused, sealBackup } from "./backup-file.ts";
import {
  configNameIn,
  decodeContent,
  encodeContent,
  type HomeContent,
  pathsIn,
  readHome,
} from "./home-content.ts";
import { KEYRING_WITHIN_MS, openParts } from "./home-parts.ts";
import { endSwap, recordSwap } from "./home-swap.ts";
import { asCopy, planRestore } from "./plan-restore.ts";

const LOCK = /^lock\.(?:db|json)$/;
const LOCK_WAIT_MS = 10_000;

interface FileOptions {
  readonly home: string;
  /** Absolute. */
  readonly file: string;
  readonly passphrase: string;
  readonly signal: AbortSignal;
}

/** Rejects with `path_taken` unless a backup may be written at `file`. */
export async function requireBackupPath(file: string): Promise<void> {
  const hint = "nothing was written";
  const folder = await stat(dirname(file)).catch(recoverFrom(["ENOENT", "ENOTDIR"], null));
  if (folder?.isDirectory() !== true)
    throw new MountaineerError("path_taken", `${dirname(file)} is not a folder`, { hint });
  if ((await entryExists(file)) && !(await isBackup(file)))
    throw new MountaineerError("path_taken", `${file} is there, and is not a backup`, { hint });
}

/** Writes the whole backup, or nothing, where `requireBackupPath` let it. Rejects as `readHome` does. */
export async function backUp(options: FileOptions & { readonly configPath: string | null }) {
  const { home, configPath, file, passphrase, signal } = options;
  const { content, rejected } = await readHome(home, configPath, signal);
  await removeLeftovers(file);
  await writeDurably(file, sealBackup(encodeContent(content), passphrase), { mode: 0o600, signal });
  await recordBackup(home);
  return { rejected, made: { file, bytes: (await stat(file)).size, files: content.files.size } };
}

async function isBackup(path: string): Promise<boolean> {
  // A pipe would be waited for.
  if ((await stat(path).catch(recoverFrom("ENOENT", null)))?.isFile() !== true) return false;
  return (await text(createReadStream(path, { end: BEGIN.length - 1 }))) === BEGIN;
}

interface RestoreOptions extends FileOptions {
  readonly userHome: string;
  readonly replaces: boolean;
}

type Replacing = Omit<RestoreOptions, "file" | "passphrase" | "signal">;

/**
 * Reads a backup, and writes nothing until `restore` is called. Rejects with `backup_refused`, `path_taken` if the home is not
 * empty and is not to be replaced, `already_running`, `share_busy`.
 */
export async function openRestore(options: RestoreOptions) {
  const { home, file, passphrase, signal } = options;
  const found = await requireFree(options);
  if ((await readLockOwner(home)) !== null) await (await lockHome(home, signal))[Symbol.asyncDispose]();
  const backup = decodeContent(await openBackup(await readBackupFile(file), passphrase));
  const isDamage = (error: unknown) => isOwnError(error) || isSystemError(error);
  const present =
    found === "home" ? await readHome(home, null, signal).catch(recoverFrom(isDamage, null)) : null;
  const { report, content } = await planRestore(backup, home, present?.content ?? null).catch(
    (error: unknown) => {
      // Sealed content is not checked again when it is read, and a stranger may have written this.
      throw error instanceof TypeError ? refused("it is foreign: its approvals are not understood") : error;
    },
  );
  const restore = (mode: "move" | "copy") =>
    restoreHome(mode === "move" ? content : asCopy(content, report.fleet?.key ?? null), found, options);
  return { report, restore } satisfies { readonly report: RestoreReport; readonly restore: unknown };
}

/** The folder has at most a lock, files of others, or a home. */
type Present = "nothing" | "files" | "home";

/** Rejects as `openRestore` does for a home that cannot be restored into. */
export async function requireFree({ home, userHome, replaces }: Replacing): Promise<Present> {
  if (!(await entryExists(home))) return "nothing";
  const taken = (why: string, hint: string) => new MountaineerError("path_taken", `${home} ${why}`, { hint });
  if (!(await lstat(home)).isDirectory())
    throw taken("is not a folder itself", "set MOUNTAINEER_HOME to the folder that it leads to");
  if ((await mountedPaths()).has(await realpath(home)))
    throw taken("is a mount point, which nothing can replace", "set MOUNTAINEER_HOME to a folder in it");
  const isEmpty = (await readdir(home)).every((name) => LOCK.test(name));
  if (!isEmpty && !replaces)
    throw taken(
      "is not empty",
      "--replace keeps it under another name; or set MOUNTAINEER_HOME to another folder",
    );
  const [mount] = await mountsIn(home, isUsualHome({ home, userHome }));
  if (mount !== undefined)
    throw new MountaineerError("share_busy", mount, { hint: "mountaineer unmount, and try again" });
  if (isEmpty) return "nothing";
  return (await pathsIn(home)).some((path) => backedUp(path) !== null) ? "home" : "files";
}

function lockHome(home: string, signal: AbortSignal) {
  return acquireHomeLock(home, { command: "backup restore", waitMs: LOCK_WAIT_MS, clock, signal });
}

/** Resolves with the storage of the secrets, and the folder of the home before; null: there was none. */
async function restoreHome(content: HomeContent, found: Present, options: RestoreOptions) {
  const { home, signal } = options;
  let [emptied, stays] = [home, await entryExists(home)];
  await ensurePrivateFolder(home);
  const aside = `${home}.before-${new Date(clock.wallMs()).toISOString().replace(/[:.]/g, "-")}`;
  const staging = `${home}.restore-${process.pid}`;
  const sealed = SEALED_NAMES.filter((name) => name !== "grants" && content.files.has(`${name}.sealed`));
  const lock = await lockHome(home, signal);
  try {
    // A daemon may have started, and ended, while a person read the question.
    if ((await requireFree(options)) !== found)
      throw new MountaineerError("path_taken", `${home} has changed in the meantime`, {
        hint: "nothing was restored; try again",
      });
    const forgets = SEALED_NAMES.filter((name) => !sealed.includes(name));
    await recordSwap(home, { staging, aside }, forgets);
    const storage = await writeHome(content, staging, { home, isReplacing: found === "home", signal });
    signal.throwIfAborted();
    await rename(home, aside);
    await rename(staging, home);
    await syncFolder(dirname(home));
    [emptied, stays] = [aside, false];
    return { storage, before: found === "nothing" ? null : aside };
  } finally {
    await lock[Symbol.asyncDispose]();
    await endSwap(home, true);
    if (found === "nothing") await removeLock(emptied, stays);
  }
}

interface Restoring {
  readonly home: string;
  /** Another home is there. Its secrets and keys in the keyring stay until it is replaced. */
  readonly isReplacing: boolean;
  readonly signal: AbortSignal;
}

async function writeHome(content: HomeContent, folder: string, { home, isReplacing, signal }: Restoring) {
  const base = { home: folder, clock, environment: process.env };
  const ofHome = { ...base, home };
  const store = openSecretStore({ ...base, keyring: isReplacing ? null : createKeyring(ofHome) });
  /** Keys of a home that is there are used, and none is added to them. */
  const keyringFor = async (name: string): Promise<Keyring | null> => {
    const keyring = sessionKeyring(ofHome);
    const limits = { deadlineMs: KEYRING_WITHIN_MS, signal };
    if (keyring === null || !isReplacing || (await keyring.unusableBecause(limits)) !== null) return keyring;
    return (await keyring.get(sealingKeyName(name), limits)) === null ? null : keyring;
  };
  const parts = openParts({ folder, store, keyringFor, signal });
  const name = configNameIn(content);
  const [before, after] = [content.config, join(home, name)];
  const running = sha256Of(content.files.get(name) ?? "");
  for (const [path, bytes] of content.files) {
    const as = backedUp(path)?.as ?? "text";
    const isEntry = path.startsWith("history/");
    await parts[as].write(path, isEntry ? movedEntry(bytes, { before, after, running }) : bytes);
  }
  return (await store.usesKeyring()) ? "keyring" : "file";
}

interface Moved {
  /** The path of the configuration file in the old home. */
  readonly before: string;
  readonly after: string;
  /** The hash of what the person has been shown. */
  readonly running: string;
}

/** An entry of the history, as one of the file at its new path. No one has been shown it yet. */
function movedEntry(bytes: Buffer, { before, after, running }: Moved): Buffer {
  const end = bytes.indexOf("\n");
  const { realPath: _, inode: __, ...header } = objectOf(jsonObject(bytes.toString("utf8", 0, end)));
  const path = header["path"] === before ? after : header["path"];
  const isShown = header["sha256"] === running;
  const source = isShown ? header["source"] : `${FROM_BACKUP}, ${String(header["source"])}`;
  return Buffer.concat([Buffer.from(JSON.stringify({ ...header, path, source })), bytes.subarray(end)]);
}

/** Removes the lock of a folder that has nothing else, and the folder unless it `stays`. */
async function removeLock(folder: string, stays: boolean): Promise<void> {
  const names = await readdir(folder).catch(recoverFrom("ENOENT", []));
  if (!names.every((name) => LOCK.test(name))) return;
  for (const name of names) await rm(join(folder, name), { force: true });
  if (!stays) await rm(folder, { recursive: true, force: true });
}
