// The record of a client's file as it was before Mountaineer wrote to it, for an undo that restores every byte.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { ensurePrivateFolder, readIfPresent, writeDurably } from "../runtime/files/durable-file.ts";
import { withExclusive } from "../runtime/files/sqlite-file-lock.ts";
import { list, nullable, object, reader, text } from "../runtime/shape.ts";
import { jsonObject } from "../runtime/text/json-object.ts";
import { systemClock } from "../runtime/time/clock.ts";
import type { ClientName } from "./client.ts";
import { unreadable } from "./client-text.ts";

/** How long to wait for the lock, ms; writing a record and a client's file takes far less. */
const LOCK_WAIT_MS = 10_000;

export interface ConnectionRecord {
  /** The client's file, absolute. */
  readonly path: string;
  /** The file's whole text before Mountaineer's change; null: there was no file. */
  readonly before: string | null;
  /** SHA-256 of the text that Mountaineer wrote. */
  readonly afterSha256: string;
  /** Names of servers that were removed from the file because Mountaineer serves them. */
  readonly taken: readonly string[];
}

const recordOf = reader(
  object({ path: text, before: nullable(text), after_sha256: text, taken: list(text) }),
);

/**
 * Runs `change`, which changes a record and a client's file. Processes take turns. Rejects with `lock_held`.
 */
export async function changeExclusively(home: string, change: () => Promise<void>): Promise<void> {
  const folder = join(home, "connections");
  await ensurePrivateFolder(folder);
  const wait = { clock: systemClock, withinMs: LOCK_WAIT_MS };
  await withExclusive(
    join(folder, "lock.db"),
    wait,
    "a client is being connected by another process",
    change,
  );
}

/**
 * The path of a record. Records are readable only by their owner, because a client's file may hold tokens.
 */
export function recordPath(home: string, name: ClientName): string {
  return join(home, "connections", `${name}.json`);
}

/** Reads the record; null: this home has not connected the client. Rejects with `client_unreadable`. */
export async function readRecord(home: string, name: ClientName): Promise<ConnectionRecord | null> {
  const content = await readIfPresent(recordPath(home, name));
  if (content === null) return null;
  const found = recordOf(jsonObject(content));
  if (found === null) {
    throw unreadable(`${recordPath(home, name)} is not as it was written`, {
      hint: "it records the client's original file; move it away to continue without it",
    });
  }
  const { after_sha256: afterSha256, ...record } = found;
  return { ...record, afterSha256 };
}

/** Writes the record; null removes it. */
export async function writeRecord(
  home: string,
  name: ClientName,
  record: ConnectionRecord | null,
): Promise<void> {
  const path = recordPath(home, name);
  if (record === null) return rm(path, { force: true });
  const { path: file, before, afterSha256: after_sha256, taken } = record;
  const content = JSON.stringify({ path: file, before, after_sha256, taken });
  await writeDurably(path, `${content}\n`, { mode: 0o600 });
}
