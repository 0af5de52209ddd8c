// What a process has cost so far, as the kernel counts it.
import { readdir, readFile, readlink } from "node:fs/promises";

/** The kernel counts processor time in ticks of 10 ms. */
const TICK_MS = 10;

/** Processor time of a process, user and system, all its threads, ms. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/**
 * As `cpuMs`, to the microsecond, of the threads that run now: a round of calls is over within a few ticks. What ended
 * threads have used is not in it.
 */
export async function threadsCpuUs(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const used = threads.map(async (thread) => {
    const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8").catch(() => "0");
    return Number(text.split(" ")[0]) / 1000;
  });
  return (await Promise.all(used)).reduce((sum, us) => sum + us, 0);
}

/** How often its threads that run now have left a processor, by themselves or not. */
export async function contextSwitches(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const counts = threads.map(async (thread) => {
    const text = await readFile(`/proc/${pid}/task/${thread}/status`, "utf8").catch(() => "");
    return [...text.matchAll(/ctxt_switches:\s+(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

/** As `cpuMs`, with its children: those that run, and those that it has waited for. */
export async function cpuMsWithChildren(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const own = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0) * TICK_MS;
  const running = await Promise.all((await childrenOf(pid)).map((child) => cpuMs(child).catch(() => 0)));
  return own + running.reduce((sum, ms) => sum + ms, 0);
}

/** The most that was ever resident, MB (10⁶ bytes). */
export async function peakRssMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return (Number(/^VmHWM:\s+(\d+)/mu.exec(status)?.[1] ?? 0) * 1024) / 1e6;
}

/** Memory with what is shared divided among its users, MB (10⁶ bytes). */
export async function pssMb(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  return (Number(/^Pss:\s+(\d+)/mu.exec(rollup)?.[1] ?? 0) * 1024) / 1e6;
}

/** Resident memory, MB (10⁶ bytes). */
export async function rssMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return (Number(/^VmRSS:\s+(\d+)/mu.exec(status)?.[1] ?? 0) * 1024) / 1e6;
}

/** Direct children of a process. */
export async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}

export async function commandLine(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ").trim();
}

/** The process with such a command line that listens on the port. Others may hold its socket, too. */
export async function listenerOf(port: number, program: RegExp): Promise<number | null> {
  const table = await readFile("/proc/net/tcp", "utf8");
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const row = table.split("\n").find((line) => line.includes(` ${local} 00000000:0000 0A `));
  const inode = row?.trim().split(/\s+/)[9];
  const holders: number[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
      if (inode !== undefined && target === `socket:[${inode}]`) holders.push(Number(pid));
    }
  }
  for (const pid of holders) {
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (words.some((word) => program.test(word))) return pid;
  }
  return null;
}
