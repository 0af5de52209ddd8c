// Writes the configuration file: only over the bytes that the caller saw, only if the result is valid, and whole or not
// at all.

import { access, constants, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { ensurePrivateFolder, removeLeftovers, writeDurably } from "../../runtime/files/durable-file.ts";
import { isBeingWritten } from "../../runtime/files/open-writer.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import { guardedChanges } from "../approval/entries.ts";
import { inodeAt, suspectError, whySuspect } from "../history/suspect-file.ts";
import { configFormat, type HomeContext } from "../home-context.ts";
import { readConfigIfPresent } from "../read/config-bytes.ts";
import { type LoadedConfig, parseConfig } from "../read/load.ts";
import type { ConfigSnapshot, MountaineerConfig } from "../snapshot.ts";
import type { ConfigMistake } from "../values/mistakes.ts";
import { editConfig } from "./edit.ts";
import type { ConfigEdit } from "./edit-meaning.ts";

export interface KnownContent {
  readonly sha256: string;
  readonly runs: boolean;
}

export interface SaveTarget {
  /** The path of the file, absolute. A missing file counts as an empty one, and is created (0600). */
  readonly path: string;
  readonly homeContext: HomeContext;
  /** The SHA-256 of the file when the caller read it; the file must still have it. null: the file may have changed. */
  readonly baseSha256: string | null;
  /**
   * The file's content as the caller knows it; null: unknown. `runs`: a service runs this content. An edit of
   * a file that is empty or missing is then refused, because the service would lose everything else.
   */
  readonly known?: KnownContent | null;
  /** True: rejects with `commands_refused` if the edit would change an entry that a person approves. */
  readonly keepsEntries?: boolean;
  /** The clock for waiting until others have finished writing. Default: the machine's. */
  readonly clock?: Clock;
}

export type SavedConfig =
  | {
      readonly ok: true;
      /** False: the file had this content already, and was not written. */
      readonly changed: boolean;
      readonly snapshot: ConfigSnapshot;
      readonly bytes: Uint8Array;
      /** The inode that holds the content now; undefined: not known. */
      readonly inode: string | undefined;
      /** The configuration before; null: the file was not valid. */
      readonly before: MountaineerConfig | null;
    }
  /** The result would not be a valid configuration; nothing was written. */
  | { readonly ok: false; readonly mistakes: readonly ConfigMistake[] };

/** A file that others changed less than this ago, ms, may be half written. */
const YOUNG_MS = 1_500;
const RECHECK_MS = 250;
/** How long to wait for others to finish writing, ms. */
const LONGEST_WAIT_MS = 3_000;

/** The last save of each path in this process: a second save must see the result of the first. */
const lastSaves = new Map<string, Promise<unknown>>();

/**
 * Makes the edits in the file and keeps every other byte. Durable when it resolves; symlinks, mode and owner stay. A
 * crash at any instant leaves the old file or the new one, whole. If another program seems to be writing the file, it
 * waits for at most 3 s. Rejects with `config_changed` when the file differs from the one that was read, or changes
 * during the edit (try again with the new content), `config_unreadable`, `config_unwritable`, and what `editConfig`
 * rejects with; nothing is written then.
 */
export function saveEdit(
  target: SaveTarget & { readonly edits: readonly ConfigEdit[] },
): Promise<SavedConfig> {
  return oneAtATime(target.path, async () => {
    const before = await readBase(target);
    if (target.known?.runs === true) refuseToBeginAfresh(target, before);
    const why = before && (await whySuspect(target, before));
    // An edit of what waits for a person would apply it.
    if (why !== null) throw suspectError(why);
    const format = configFormat(target.path);
    try {
      const edited = await editConfig({ bytes: before ?? new Uint8Array(), format, edits: target.edits });
      return await replace(target, before, edited.bytes, edited.changed);
    } catch (error) {
      if (!(error instanceof MountaineerError) || error.code !== "config_invalid") throw error;
      // The file was already invalid before the edit, so all errors in the file are reported.
      const loaded = await parseConfig(before ?? new Uint8Array(), target.path, target.homeContext);
      if (loaded.ok) throw error;
      return loaded;
    }
  });
}

/** Replaces the whole content, for an editor or a rollback. Writes and rejects as `saveEdit` does. */
export function saveContent(target: SaveTarget & { readonly bytes: Uint8Array }): Promise<SavedConfig> {
  return oneAtATime(target.path, async () => {
    const before = await readBase(target);
    const isSame = before !== null && Buffer.compare(before, target.bytes) === 0;
    return replace(target, before, target.bytes, !isSame);
  });
}

async function oneAtATime<T>(path: string, save: () => Promise<T>): Promise<T> {
  const before = lastSaves.get(path);
  const mine = (async () => {
    // The caller of the previous save handles its failure.
    await before?.catch(() => {});
    return save();
  })();
  lastSaves.set(path, mine);
  try {
    return await mine;
  } finally {
    if (lastSaves.get(path) === mine) lastSaves.delete(path);
  }
}

function changedMeanwhile(path: string): MountaineerError {
  return new MountaineerError(
    "config_changed",
    `${path} has changed since it was read; nothing was written`,
    {
      hint: "check its current content, and try again",
      retry: "now",
    },
  );
}

/**
 * The file's content, once no other program is writing it. Rejects with `config_changed` if the writing does
 * not end in time.
 */
async function readStable(target: SaveTarget): Promise<Uint8Array | null> {
  const { path, baseSha256, known, clock = systemClock } = target;
  const expected = known?.sha256 ?? baseSha256?.toLowerCase();
  const deadlineMs = clock.monotonicMs() + LONGEST_WAIT_MS;
  let before: { readonly bytes: Uint8Array; readonly changedMs: number } | null = null;
  for (;;) {
    const bytes = await readConfigIfPresent(path);
    // The times are read after the content, so a file that was written during the read counts as young.
    const status = await stat(path).catch(() => null);
    if (bytes === null || status === null) return bytes;
    const isEmpty = bytes.length === 0;
    if (!isEmpty && sha256Of(bytes) === expected) return bytes;
    const changedMs = Math.max(status.mtimeMs, status.ctimeMs);
    const isYoung = Math.abs(clock.wallMs() - changedMs) < YOUNG_MS;
    const isStill =
      before !== null && before.changedMs === changedMs && Buffer.compare(before.bytes, bytes) === 0;
    // Most programs empty a file before they write it, so an empty file is read again until it has content or its
    // last change is old enough.
    const isStable = (!isYoung || (isStill && !isEmpty)) && !(await isBeingWritten(path));
    // The writer may have ended after the content was read.
    if (isStable && Buffer.compare(bytes, (await readConfigIfPresent(path)) ?? bytes) === 0) return bytes;
    if (clock.monotonicMs() >= deadlineMs) {
      throw new MountaineerError("config_changed", `${path} is being written; nothing was written here`, {
        hint: "try again when what writes it has ended",
        retry: "later",
      });
    }
    before = { bytes, changedMs };
    await clock.sleep(RECHECK_MS);
  }
}

function refuseToBeginAfresh({ path, known }: SaveTarget, before: Uint8Array | null): void {
  if (before !== null && (before.length > 0 || sha256Of(before) === known?.sha256)) return;
  const state = before === null ? "not there" : "empty";
  throw new MountaineerError("config_unreadable", `${path} is ${state}, and its last content still runs`, {
    hint: "`mountaineer config rollback 0` writes the running configuration into the file",
  });
}

async function readBase(target: SaveTarget): Promise<Uint8Array | null> {
  const { path, baseSha256 } = target;
  const bytes = await readStable(target);
  if (baseSha256 !== null && sha256Of(bytes ?? new Uint8Array()) !== baseSha256.toLowerCase()) {
    throw changedMeanwhile(path);
  }
  return bytes;
}

async function replace(
  target: SaveTarget,
  before: Uint8Array | null,
  bytes: Uint8Array,
  changed: boolean,
): Promise<SavedConfig> {
  const { path, homeContext } = target;
  const loaded = await parseConfig(bytes, path, homeContext);
  if (!loaded.ok) return loaded;
  const was = changed ? await parseConfig(before ?? new Uint8Array(), path, homeContext) : loaded;
  if (target.keepsEntries === true) {
    // If the previous content was not valid, every entry of the new content counts as a change.
    const known = was.ok ? was : await parseConfig(new Uint8Array(), path, homeContext);
    refuseEntries(known, loaded.snapshot.config);
  }
  if (changed) await write(path, before, bytes);
  const { snapshot } = loaded;
  const inode = await inodeAt(path);
  return { ok: true, changed, snapshot, bytes, inode, before: was.ok ? was.snapshot.config : null };
}

function refuseEntries(was: LoadedConfig, config: MountaineerConfig): void {
  const changed = was.ok ? guardedChanges(was.snapshot.config, config) : ["all of it"];
  if (changed.length === 0) return;
  const names = `${changed.slice(0, 3).join(", ")}${changed.length > 3 ? ", …" : ""}`;
  throw new MountaineerError(
    "commands_refused",
    `it would change what a person approves: ${names}; nothing was written`,
    {
      hint: "do it on that machine, or set [server.management].allow_commands = true there",
    },
  );
}

async function write(path: string, before: Uint8Array | null, bytes: Uint8Array): Promise<void> {
  try {
    // A rename works even on a read-only file, but a person who made the file read-only wants to protect it.
    if (before === null) await ensurePrivateFolder(dirname(path));
    else await requireWritable(path);
    await removeLeftovers(path);
    const now = await readConfigIfPresent(path);
    const isUnchanged = now === null ? before === null : before !== null && Buffer.compare(now, before) === 0;
    if (!isUnchanged) throw changedMeanwhile(path);
    await writeDurably(path, bytes);
  } catch (error) {
    if (error instanceof MountaineerError) throw error;
    const code = systemErrorCode(error);
    if (code === null) throw error;
    throw new MountaineerError("config_unwritable", `${path} cannot be written: ${errorText(error)}`, {
      hint: writeHint(code),
      cause: error,
    });
  }
}

/** Rejects if the file is read-only; with `config_changed` if it was removed after it was read. */
async function requireWritable(path: string): Promise<void> {
  try {
    await access(path, constants.W_OK);
  } catch (error) {
    throw systemErrorCode(error) === "ENOENT" ? changedMeanwhile(path) : error;
  }
}

function writeHint(code: string): string {
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return "the disk is full: free some space";
    case "EROFS":
      return "the disk is mounted read-only";
    case "EBUSY":
      return "the file itself is a mount: mount its folder instead, or change the original";
    default:
      return "make the file and its folder yours and writable (chown, chmod u+w)";
  }
}
