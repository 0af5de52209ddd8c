// What a client's file was before Mountaineer wrote to it, kept so that it can be put back to the byte.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { MountaineerError } from "../runtime/errors.ts";
import { ensurePrivateFolder, readIfPresent, writeDurably } from "../runtime/files/durable-file.ts";
import { waitExclusive } from "../runtime/files/sqlite-file-lock.ts";
import { jsonObject } from "../runtime/text/json-object.ts";
import { systemClock } from "../runtime/time/clock.ts";
import type { ClientName } from "./client.ts";

/** Both files are written in far less. */
const LOCK_WAIT_MS = 10_000;

export interface ConnectionRecord {
  /** The client's file, absolute. */
  readonly path: string;
  /** Its whole text; null: there was none. */
  readonly before: string | null;
  /** SHA-256 of what was written in its place. */
  readonly afterSha256: string;
  /** Names of the servers that were taken out of it, as they are reached through Mountaineer. */
  readonly taken: readonly string[];
}

/** One change of the records, and of the files that they are about, at a time. Rejects with `lock_held`. */
export async function changeAlone(home: string, change: () => Promise<void>): Promise<void> {
  const folder = join(home, "connections");
  await ensurePrivateFolder(folder);
  const lock = await waitExclusive(join(folder, "lock.db"), { clock: systemClock, withinMs: LOCK_WAIT_MS });
  if (lock === null)
    throw new MountaineerError("lock_held", "a client is being connected by another process", {
      retry: "later",
    });
  try {
    await change();
  } finally {
    lock.release();
  }
}

/** Readable only by its owner: a client's file may hold tokens. */
function recordPath(home: string, name: ClientName): string {
  return join(home, "connections", `${name}.json`);
}

/** null: it is not connected by this home. Rejects with `client_unreadable`. */
export async function readRecord(home: string, name: ClientName): Promise<ConnectionRecord | null> {
  const text = await readIfPresent(recordPath(home, name));
  if (text === null) return null;
  const { path, before, after_sha256: afterSha256, taken } = jsonObject(text) ?? {};
  const isWhole =
    typeof path === "string" &&
    (typeof before === "string" || before === null) &&
    typeof afterSha256 === "string" &&
    Array.isArray(taken);
  if (isWhole) return { path, before, afterSha256, taken: taken.map(String) };
  throw new MountaineerError("client_unreadable", `${recordPath(home, name)} is not as it was written`, {
    hint: "it holds what the client's file was before; move it away to go on without",
  });
}

export async function writeRecord(home: string, name: ClientName, record: ConnectionRecord): Promise<void> {
  const path = recordPath(home, name);
  const { path: file, before, afterSha256: after_sha256, taken } = record;
  await writeDurably(path, `${JSON.stringify({ path: file, before, after_sha256, taken })}\n`, {
    mode: 0o600,
  });
}

export async function removeRecord(home: string, name: ClientName): Promise<void> {
  await rm(recordPath(home, name), { force: true });
}
