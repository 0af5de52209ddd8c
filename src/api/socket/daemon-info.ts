// Reads and writes `<home>/daemon.json`, where clients find the daemon's process id and socket paths.

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { systemErrorCode } from "../../runtime/errors.ts";
import { readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import { belongsToOtherHome } from "../../runtime/files/home-marker.ts";
import { number, object, optional, reader, type TypeOf, text } from "../../runtime/shape.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";

const noteShape = object({
  pid: number,
  socket: text,
  /** Where MCP clients send lines of JSON-RPC; absent without a gateway. */
  mcp_socket: optional(text),
  version: text,
  started_at: text,
  home: text,
});
export type DaemonInfo = TypeOf<typeof noteShape>;
const readNote = reader(noteShape);

function daemonNotePath(home: string): string {
  return join(home, "daemon.json");
}

/** null if the file is absent or invalid, or was copied here from another home. */
export async function readDaemonInfo(home: string): Promise<DaemonInfo | null> {
  try {
    const content = await readIfPresent(daemonNotePath(home));
    const note = content === null ? null : readNote(parseJson(content));
    return (await belongsToOtherHome(note?.home, home)) ? null : note;
  } catch (error) {
    if (error instanceof SyntaxError || systemErrorCode(error) !== null) return null;
    throw error;
  }
}

/** Writes durably with mode 0600. Rejects with the system's error. */
export async function writeDaemonInfo(home: string, note: Omit<DaemonInfo, "home">): Promise<void> {
  const content = JSON.stringify({ ...note, home }, null, 2);
  await writeDurably(daemonNotePath(home), `${content}\n`, { mode: 0o600 });
}

/** Removes the file if it still names `pid`. */
export async function removeDaemonInfo(home: string, pid: number): Promise<void> {
  const note = await readDaemonInfo(home);
  if (note?.pid === pid) await rm(daemonNotePath(home), { force: true });
}
