// What a process has open, by kind, and which of it are connections that others hold. Linux alone.
import { readdir, readFile, readlink } from "node:fs/promises";

const SOCKET = /^socket:\[(\d+)\]$/u;
const ESTABLISHED = "01";

/** By kind (`socket`, `pipe`, `anon_inode:…`), files by their paths: how many. Rejects when the process is gone. */
export async function descriptorsOf(pid: number): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (const target of (await targetsOf(pid)).sort()) {
    const kind = target.replace(/^(socket|pipe):\[\d+\]$/u, "$1");
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** How many it has in all, and how many of them are connections of clients to this TCP port that have not ended. */
export async function openedBy(
  pid: number,
  port: number,
): Promise<{ readonly descriptors: number; readonly clients: number }> {
  const [targets, inodes] = await Promise.all([targetsOf(pid), establishedAt(pid, port)]);
  const clients = targets.filter((target) => inodes.has(SOCKET.exec(target)?.[1] ?? ""));
  return { descriptors: targets.length, clients: clients.length };
}

async function targetsOf(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  // One that was closed since the folder was read is not open.
  const links = (await readdir(folder)).map((each) => readlink(`${folder}/${each}`).catch(() => null));
  return (await Promise.all(links)).filter((target) => target !== null);
}

/** Inodes of the connections to this port, as the process's own network has them. */
async function establishedAt(pid: number, port: number): Promise<ReadonlySet<string>> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = (await readFile(`/proc/${pid}/net/tcp`, "utf8")).trimEnd().split("\n").slice(1);
  const rows = lines.map((line) => line.trim().split(/\s+/u));
  return new Set(
    rows.flatMap(([, local = "", , state, , , , , , inode]) =>
      local.endsWith(suffix) && state === ESTABLISHED && inode !== undefined ? [inode] : [],
    ),
  );
}
