// Finds the process that listens at a port through /proc, and its name.
import { readdir, readFile, readlink } from "node:fs/promises";
import { processName } from "../../../runtime/process/process-name.ts";

export interface PortHolder {
  readonly pid: number;
  /** The name of the program without its arguments, because arguments may hold secrets. */
  readonly command: string;
}

const LISTENING = "0A";
/** Maximum number of processes to check; the result only improves an error message. */
const PROCESS_LIMIT = 20_000;

/** Null: no process found, or not readable by this user. Never rejects. */
export async function findPortHolderLinux(port: number): Promise<PortHolder | null> {
  try {
    const tables = await Promise.all(["tcp", "tcp6"].map((name) => textOf(`/proc/net/${name}`)));
    const sockets = new Set(tables.flatMap((table) => listeningSockets(table, port)));
    if (sockets.size === 0) return null;
    const pids = (await readdir("/proc")).filter((name) => /^[0-9]+$/.test(name)).slice(0, PROCESS_LIMIT);
    // This process comes last, as it may also listen at an overlapping address.
    pids.sort((a, b) => Number(Number(a) === process.pid) - Number(Number(b) === process.pid));
    for (const pid of pids) {
      if (await hasOneOf(`/proc/${pid}/fd`, sockets)) {
        return { pid: Number(pid), command: processName(`/proc/${pid}`) };
      }
    }
  } catch {
    // Without a result, the error message does not name the process.
  }
  return null;
}

/** The sockets that listen at `port` in a table of /proc/net, as links of descriptors: `socket:[INODE]`. */
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

/** True if a descriptor in `folder`, a folder of /proc, is one of `sockets`. Never rejects. */
export async function hasOneOf(folder: string, sockets: ReadonlySet<string>): Promise<boolean> {
  // Reading the folder fails if the process belongs to another user or has ended.
  for (const name of await readdir(folder).catch(() => [])) {
    // `readlink` fails if the descriptor has since been closed.
    if (sockets.has(await readlink(`${folder}/${name}`).catch(() => ""))) return true;
  }
  return false;
}

function textOf(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
