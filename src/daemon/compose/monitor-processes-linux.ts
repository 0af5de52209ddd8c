// Finds monitors through /proc, with the homes that their environments name.
import { readFile } from "node:fs/promises";
import { findHomeContext } from "../../config/home-context.ts";
import { readProcesses } from "../../runtime/process/process-identity.ts";
import { isMonitor, type MonitorProcess } from "./process-arguments.ts";

export function listMonitorsLinux(): Promise<readonly MonitorProcess[]> {
  return readProcesses(readMonitor);
}

async function readMonitor(pid: string): Promise<MonitorProcess | null> {
  try {
    // The short name is checked first: reading arguments waits for a lock that a process stuck in the kernel may hold.
    const name = (await readFile(`/proc/${pid}/comm`, "utf8")).trim();
    if (!/^(node|MainThread|mountaineer)/.test(name)) return null;
    const args = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0");
    if (!isMonitor(args)) return null;
    const variables = (await readFile(`/proc/${pid}/environ`, "utf8")).split("\0");
    const variable = (key: string): string | undefined =>
      variables.find((one) => one.startsWith(`${key}=`))?.slice(key.length + 1);
    const environment = { HOME: variable("HOME"), MOUNTAINEER_HOME: variable("MOUNTAINEER_HOME") };
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    const parent = /^PPid:\s*(\d+)$/m.exec(status)?.[1];
    return {
      pid: Number(pid),
      parent: parent === undefined ? null : Number(parent),
      home: findHomeContext(environment).home,
    };
  } catch {
    // The process has since ended, or belongs to another user.
    return null;
  }
}
