// Reads and writes `<home>/daemon.json`, by which clients find the daemon's process and socket.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { systemErrorCode } from "../../runtime/errors.ts";
import { readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import { number, object, optional, reader, type TypeOf, text } from "../../runtime/shape.ts";

/** Where the running daemon listens. */
const noteShape = object({
  pid: number,
  socket: text,
  /** Where an MCP client speaks lines of JSON-RPC with the gateway; absent while there is none. */
  mcp_socket: optional(text),
  version: text,
  started_at: text,
});
export type DaemonNote = TypeOf<typeof noteShape>;
const readNote = reader(noteShape);

function daemonNotePath(home: string): string {
  return join(home, "daemon.json");
}

/** Null when there is none, or when it cannot be made sense of: then nobody is to be found by it. */
export async function readDaemonNote(home: string): Promise<DaemonNote | null> {
  try {
    const note = await readIfPresent(daemonNotePath(home));
    return note === null ? null : readNote(JSON.parse(note));
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
