// Owns finding rclone processes: those that serve a given mount, or that were started from a given config.
import { readdir, readFile } from "node:fs/promises";
import { type ProcessIdentity, processIdentity } from "../../../runtime/process/process-identity.ts";

export interface RcloneProcess {
  readonly identity: ProcessIdentity;
  readonly arguments: readonly string[];
}

const AT_ONCE = 16;

/** Every `rclone mount` that runs, of any user whose processes show. */
export async function listRcloneMounts(): Promise<readonly RcloneProcess[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found: RcloneProcess[] = [];
  for (let index = 0; index < pids.length; index += AT_ONCE) {
    const some = await Promise.all(pids.slice(index, index + AT_ONCE).map(readProcess));
    for (const one of some) if (one !== null) found.push(one);
  }
  return found;
}

async function readProcess(pid: string): Promise<RcloneProcess | null> {
  try {
    // The short name first: reading arguments waits for a lock that a process stuck in the kernel may hold.
    if (!/^(mount\.)?rclone/.test(await readFile(`/proc/${pid}/comm`, "utf8"))) return null;
    const args = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0");
    const identity = await processIdentity(Number(pid));
    return identity === null ? null : { identity, arguments: args };
  } catch {
    // Ended meanwhile.
    return null;
  }
}
