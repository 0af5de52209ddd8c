// Finds the process that listens at a port through /proc, and its name.
import { readdir, readFile, readlink } from "node:fs/promises";

export interface PortHolder {
  readonly pid: number;
  /** Its program's name, without arguments: those may hold secrets. */
  readonly command: string;
}

const LISTENING = "0A";
/** Processes looked at; a machine has more only in odd cases, and the answer is a courtesy. */
const PROCESS_LIMIT = 20_000;

/** Null: none, or not readable by us. Never rejects. */
export async function findPortHolderLinux(port: number): Promise<PortHolder | null> {
  try {
    const tables = await Promise.all(["tcp", "tcp6"].map((name) => textOf(`/proc/net/${name}`)));
    const sockets = new Set(tables.flatMap((table) => listeningSockets(table, port)));
    if (sockets.size === 0) return null;
    const pids = (await readdir("/proc")).filter((name) => /^[0-9]+$/.test(name)).slice(0, PROCESS_LIMIT);
    // Ourselves last: at an overlapping address we may listen, too.
    pids.sort((a, b) => Number(Number(a) === process.pid) - Number(Number(b) === process.pid));
    for (const pid of pids) {
      if (await holdsOne(`/proc/${pid}/fd`, sockets)) {
        return { pid: Number(pid), command: (await textOf(`/proc/${pid}/comm`)).trim() };
      }
    }
  } catch {
    // Who it is only helps; the port is taken all the same.
  }
  return null;
}

/** The links of the sockets that listen at `port` in a table of /proc/net: `socket:[INODE]`. */
export function listeningSockets(table: string, port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const sockets: string[] = [];
  for (const line of table.split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    const [, local, , state] = fields;
    const inode = fields[9];
    if (state === LISTENING && inode !== undefined && local?.endsWith(wanted)) {
      sockets.push(`socket:[${inode}]`);
    }
  }
  return sockets;
}

/** Whether one of a process' descriptors, the links in that folder, is one of the sockets. Never rejects. */
export async function holdsOne(folder: string, sockets: ReadonlySet<string>): Promise<boolean> {
  let names: readonly string[];
  try {
    names = await readdir(folder);
  } catch {
    // Another user's process, or one that has ended meanwhile.
    return false;
  }
  for (const name of names) {
    if (sockets.has(await linkOf(`${folder}/${name}`))) return true;
  }
  return false;
}

/** Empty for a descriptor that was closed meanwhile: a busy process closes some all the time. */
async function linkOf(path: string): Promise<string> {
  try {
    return await readlink(path);
  } catch {
    return "";
  }
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return "";
  }
}
