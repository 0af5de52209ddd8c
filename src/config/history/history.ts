// The newest 50 accepted contents of each configuration file. Each is a file in `<home>/history`: one line of JSON that
// describes it, then the bytes.

import { readdir, readFile, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { errorText, MountaineerError, recoverFrom, systemErrorCode } from "../../runtime/errors.ts";
import { ensurePrivateFolder, removeLeftovers, writeDurably } from "../../runtime/files/durable-file.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { choice, number, object, optional, reader, text } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { configFormat } from "../home-context.ts";
import type { ConfigFormat } from "../snapshot.ts";
import { type EntryFile, findHistoryOwner, ownRealPath, type RealPath } from "./history-owner.ts";

export const RETAINED_ENTRIES = 50;
/** The limit of entries in a home, for all configuration files together. */
const RETAINED_IN_ALL = 500;
const RETAINED_ASIDE = 10;
const SET_ASIDE = /^\d{10}-[0-9a-f]{8}\.entry\.corrupt$/;
const LONGEST_SUMMARY = 500;

export interface AcceptedContent {
  readonly bytes: Uint8Array;
  /** The hash of the bytes, hexadecimal. */
  readonly sha256: string;
  readonly format: ConfigFormat;
  /** The reason for loading: "start", "file", "edit", "rollback" … */
  readonly source: string;
  readonly summary: string;
  /** The time of acceptance, ISO 8601 UTC. */
  readonly time: string;
  /** The inode of the file that holds the content. Absent: not known. */
  readonly inode?: string | undefined;
  /** Only adds this summary to that of the newest entry, if it has this content. */
  readonly isRemark?: boolean;
}

export interface HistoryEntry extends Omit<AcceptedContent, "bytes" | "inode" | "isRemark"> {
  /** The number of the entry: 0 is the newest, which is the running content. */
  readonly n: number;
}

interface CorruptEntry {
  readonly file: string;
  readonly reason: string;
}

export type ConfigHistory = ReturnType<typeof openHistory>;

interface Stored extends EntryFile {
  readonly file: string;
  readonly entry: Omit<HistoryEntry, "n">;
  readonly bytes: Uint8Array;
  readonly inode: string | null;
}

const ENTRY_FILE = /^(\d{10})-([0-9a-f]{8})\.entry$/;

const headerOf = reader(
  object({
    time: text,
    sha256: text,
    source: text,
    summary: text,
    format: choice("toml", "yaml"),
    length: number,
    /** The path of the configuration file. */
    path: text,
    realPath: optional(text),
    inode: optional(text),
  }),
);

/** The entry, or the reason why it cannot be used. */
function readEntry(raw: Buffer): Omit<Stored, "file"> | string {
  const end = raw.indexOf(0x0a);
  const header = end === -1 ? null : headerOf(jsonObject(raw.subarray(0, end).toString("utf8")));
  if (header === null) return "its first line is not valid";
  const bytes = raw.subarray(end + 1);
  if (sha256Of(bytes) !== header.sha256) return "its content does not match its hash";
  const { length: _, path, realPath = null, inode = null, ...entry } = header;
  return { path, realPath, inode, entry, bytes };
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(recoverFrom("ENOENT", []));
}

/** Reads a file of the history as `readEntry` does; null if the file no longer exists. */
async function readStored(path: string): Promise<ReturnType<typeof readEntry> | null> {
  try {
    return readEntry(await readFile(path));
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    if (systemErrorCode(error) === null) throw error;
    return `it cannot be read: ${errorText(error)}`;
  }
}

async function readAll(folder: string): Promise<{ stored: Stored[]; corrupt: CorruptEntry[] }> {
  const names = (await namesIn(folder))
    .filter((name) => ENTRY_FILE.test(name))
    .sort()
    .reverse();
  const stored: Stored[] = [];
  const corrupt: CorruptEntry[] = [];
  for (const file of names) {
    const read = await readStored(join(folder, file));
    if (read === null) continue;
    if (typeof read === "string") corrupt.push({ file: join(folder, file), reason: read });
    else stored.push({ file, ...read });
  }
  return { stored, corrupt };
}

/** The source of an entry that came with a backup begins with it. It was not approved here. */
export const FROM_BACKUP = "backup";

/**
 * Throws if an entry cannot be restored: `config_changed` if its hash is not `baseSha256`, the hash of what a person
 * has been shown; `history_unknown` if its format is not that of the file, or it came with a backup and was not shown.
 */
export function refuseOtherEntry(entry: HistoryEntry, baseSha256: string | null, path: string): void {
  const { n, sha256, format, source } = entry;
  if (baseSha256 === null && source.startsWith(FROM_BACKUP)) {
    throw new MountaineerError("history_unknown", `entry ${n} came with a backup, and was not shown yet`, {
      hint: "at a terminal, and without --yes, mountaineer config rollback shows it first",
    });
  }
  if (baseSha256 !== null && sha256 !== baseSha256) {
    throw new MountaineerError("config_changed", `entry ${n} has changed since it was shown`, {
      hint: "check the history again",
    });
  }
  const own = configFormat(path);
  if (format === own) return;
  const text = `entry ${n} is ${format.toUpperCase()}, this file is ${own.toUpperCase()}`;
  throw new MountaineerError("history_unknown", `${text}; nothing was written`, {
    hint: "take what you need from it by hand: `mountaineer config diff` shows it",
  });
}

/**
 * The history of the configuration file at `configPath` (absolute), kept in `home`. Opening it reads and
 * writes nothing; the first record creates the folder. `realPath` must answer even if the file's disk does
 * not.
 */
export function openHistory(home: string, configPath: string, realPath: RealPath = ownRealPath) {
  const folder = join(home, "history");
  let last: Promise<unknown> = Promise.resolve();

  async function newest(): Promise<Stored[]> {
    const { stored } = await readAll(folder);
    const { owns } = await findHistoryOwner(configPath, stored, realPath);
    const own = stored.filter(owns);
    // A process that was killed while it replaced an entry has left both.
    const isOwn = ({ entry }: Stored, at: number) => entry.sha256 !== own[at - 1]?.entry.sha256;
    return own.filter(isOwn).slice(0, RETAINED_ENTRIES);
  }

  async function setAside(corrupt: readonly CorruptEntry[]): Promise<void> {
    for (const { file } of corrupt) await rename(file, `${file}.corrupt`).catch(recoverFrom("ENOENT"));
    const aside = (await namesIn(folder)).filter((name) => SET_ASIDE.test(name)).sort();
    for (const name of aside.slice(0, -RETAINED_ASIDE))
      await unlink(join(folder, name)).catch(recoverFrom(["ENOENT", "EISDIR", "EPERM"]));
  }

  async function nextFile(sha256: string): Promise<string> {
    // Files renamed to `*.corrupt` are also counted, so that no number is used twice.
    const orders = (await namesIn(folder)).map((name) => Number(/^(\d{10})-/.exec(name)?.[1] ?? 0));
    const order = Math.max(0, ...orders) + 1;
    return `${String(order).padStart(10, "0")}-${sha256.slice(0, 8)}.entry`;
  }

  async function record(content: AcceptedContent): Promise<{ added: boolean; setAside: CorruptEntry[] }> {
    const { bytes, sha256, format, source, time } = content;
    if (sha256Of(bytes) !== sha256) throw new TypeError("the hash is not that of the content");
    const { stored, corrupt } = await readAll(folder);
    if (corrupt.length > 0) await setAside(corrupt);
    const { file, owns } = await findHistoryOwner(configPath, stored, realPath);
    const own = stored.filter(owns);
    const same = own.slice(0, 1).filter(({ entry }) => entry.sha256 === sha256);
    const { isRemark = false } = content;
    if (isRemark ? same.length === 0 : same.some(({ inode }) => inode === (content.inode ?? inode)))
      return { added: false, setAside: corrupt };
    await ensurePrivateFolder(folder);
    const whole = isRemark ? `${same[0]?.entry.summary}; ${content.summary}` : content.summary;
    // Why an entry was made is kept, and so are the last remarks.
    const isLong = whole.length > LONGEST_SUMMARY;
    const summary = isLong ? `${whole.slice(0, 247)} … ${whole.slice(-250)}` : whole;
    const inode = content.inode ?? same[0]?.inode ?? undefined;
    const where = { path: configPath, realPath: file.realPath ?? undefined, inode };
    const earlier = isRemark ? { ...same[0]?.entry, summary } : same[0]?.entry;
    const entry = { time, sha256, format, source, summary, ...earlier };
    const header = { ...entry, length: bytes.length, ...where };
    const path = join(folder, await nextFile(sha256));
    await writeDurably(path, Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), bytes]), {
      mode: 0o600,
    });
    const surplus = new Set([
      ...same,
      ...own.slice(RETAINED_ENTRIES - 1 + same.length),
      ...stored.slice(RETAINED_IN_ALL - 1),
    ]);
    for (const { file } of surplus) await unlink(join(folder, file)).catch(recoverFrom("ENOENT"));
    await sweep();
    return { added: same.length === 0, setAside: corrupt };
  }

  /** Removes all temporary files of processes that were killed while writing. */
  async function sweep(): Promise<void> {
    const left = (await namesIn(folder)).flatMap(
      (name) => /^\.(\S+\.entry)\.\d+-\w+\.tmp$/.exec(name)?.[1] ?? [],
    );
    for (const name of left) await removeLeftovers(join(folder, name));
  }

  return {
    /**
     * Records an accepted content. If it equals the newest entry, `added` is false, and that entry gets the new inode.
     * Durable when it resolves. Renames unusable entries to `*.corrupt`, and lists them in `setAside`. Rejects with
     * `home_unwritable`, or the system's error; earlier entries stay.
     */
    record(content: AcceptedContent) {
      const mine = last.catch(() => {}).then(() => record(content));
      last = mine;
      return mine;
    },
    /** The entries, newest first, at most 50. Writes nothing, and skips unusable entries. */
    async list(): Promise<HistoryEntry[]> {
      return (await newest()).map(({ entry }, n) => ({ n, ...entry }));
    },
    /** Entry `n` with its bytes. Rejects with `history_unknown`. */
    async entry(n: number): Promise<HistoryEntry & { readonly bytes: Uint8Array }> {
      const entries = await newest();
      const found = entries[n];
      if (found !== undefined) return { n, ...found.entry, bytes: found.bytes };
      const hint = entries.length === 0 ? "it is empty" : `its entries are 0 to ${entries.length - 1}`;
      throw new MountaineerError("history_unknown", `the history has no entry ${n}`, { hint });
    },
    /**
     * Returns the entries that `list` returns, each with its bytes and the path of its history file. Writes nothing.
     */
    async newest(): Promise<readonly Omit<Stored, "path">[]> {
      return (await newest()).map(({ file, path: _, ...stored }) => ({
        ...stored,
        file: join(folder, file),
      }));
    },
    /** The unusable entries that are not yet renamed to `*.corrupt`. Writes nothing. */
    async corrupt(): Promise<CorruptEntry[]> {
      return (await readAll(folder)).corrupt;
    },
  };
}
