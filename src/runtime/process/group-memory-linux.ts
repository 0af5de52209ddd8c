// Reads each process's private memory from /proc/PID/status, which takes no lock that a stuck process may hold.
import { readFile } from "node:fs/promises";
import { readProcesses } from "./process-identity.ts";

/** `[group, KiB]` for each process. */
export function processMemoryLinux(): Promise<readonly (readonly [number, number])[]> {
  return readProcesses(readStatus);
}

async function readStatus(pid: string): Promise<readonly [number, number] | null> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const group = /^NSpgid:\s*(\d+)/m.exec(status)?.[1];
  const own = /^RssAnon:\s*(\d+) kB$/m.exec(status)?.[1];
  return group === undefined || own === undefined ? null : [Number(group), Number(own)];
}
