// Reads and writes `<home>/daemon.json`, by which clients find the daemon's process and socket.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { systemErrorCode } from "../../runtime/errors.ts";
import { readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import { isOfOtherHome } from "../../runtime/files/noted-home.ts";
import { number, object, optional, reader, type TypeOf, text } from "../../runtime/shape.ts";

/** Where the running daemon listens. */
const noteShape = object({
  pid: number,
  socket: text,
  /** Where an MCP client speaks lines of JSON-RPC with the gateway; absent while there is none. */
  mcp_socket: optional(text),
  version: text,
  started_at: text,
  /** Absent in the note of an earlier version. */
  home: optional(text),
});
export type DaemonNote = TypeOf<typeof noteShape>;
const readNote = reader(noteShape);

function daemonNotePath(home: string): string {
  return join(home, "daemon.json");
}

/**
 * Null when there is none, when it cannot be made sense of, or when it came here with a copy of another home: then
 * nobody is to be found by it.
 */
export async function readDaemonNote(home: string): Promise<DaemonNote | null> {
  try {
    const content = await readIfPresent(daemonNotePath(home));
    const note = content === null ? null : readNote(JSON.parse(content));
    return (await isOfOtherHome(note?.home, home)) ? null : note;
  } catch (error) {
    if (error instanceof SyntaxError || systemErrorCode(error) !== null) return null;
    throw error;
  }
}

/** Writes it durably, readable by its owner alone. Rejects with the system's error. */
export async function writeDaemonNote(home: string, note: DaemonNote): Promise<void> {
  const content = JSON.stringify({ ...note, home }, null, 2);
  await writeDurably(daemonNotePath(home), `${content}\n`, { mode: 0o600 });
}

/** Removes it if it is still the one of `pid`. */
export async function removeDaemonNote(home: string, pid: number): Promise<void> {
  const note = await readDaemonNote(home);
  if (note?.pid === pid) await rm(daemonNotePath(home), { force: true });
}
