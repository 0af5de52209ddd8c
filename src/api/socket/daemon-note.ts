// Owns `<home>/daemon.json`: who runs for this home and where its socket is, for clients to find it.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { systemErrorCode } from "../../runtime/errors.ts";
import { readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import type { DaemonNote } from "../contract.ts";

function daemonNotePath(home: string): string {
  return join(home, "daemon.json");
}

/** Null when there is none, or when it cannot be made sense of: then nobody is to be found by it. */
export async function readDaemonNote(home: string): Promise<DaemonNote | null> {
  try {
    const text = await readIfPresent(daemonNotePath(home));
    const value: unknown = text === null ? null : JSON.parse(text);
    return isDaemonNote(value) ? value : null;
  } catch (error) {
    if (error instanceof SyntaxError || systemErrorCode(error) !== null) return null;
    throw error;
  }
}

/** Writes it durably, readable by its owner alone. Rejects with the system's error. */
export async function writeDaemonNote(home: string, note: DaemonNote): Promise<void> {
  await writeDurably(daemonNotePath(home), `${JSON.stringify(note, null, 2)}\n`, { mode: 0o600 });
}

/** Removes it if it is still the one of `pid`. */
export async function removeDaemonNote(home: string, pid: number): Promise<void> {
  const note = await readDaemonNote(home);
  if (note?.pid === pid) await rm(daemonNotePath(home), { force: true });
}

function isDaemonNote(value: unknown): value is DaemonNote {
  return (
    typeof value === "object" &&
    value !== null &&
    "pid" in value &&
    typeof value.pid === "number" &&
    "socket" in value &&
    typeof value.socket === "string" &&
    "version" in value &&
    typeof value.version === "string" &&
    "started_at" in value &&
    typeof value.started_at === "string" &&
    (!("mcp_socket" in value) || typeof value.mcp_socket === "string")
  );
}
