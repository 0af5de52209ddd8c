// Finds the processes of a home by what they were started with, and ends them by their pid.
import { readdir, readFile } from "node:fs/promises";
import { systemErrorCode } from "../../src/runtime/errors.ts";

const NODE = /^(node|MainThread|mountaineer)/;

/**
 * Only of processes with such a short name the arguments are read: that waits for a lock which another test's process may
 * hold for as long as its mount does not answer.
 */
export async function processesWhere(
  shortName: RegExp,
  wanted: (args: readonly string[]) => boolean,
): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const read = (file: string): Promise<string> =>
        readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
      if (!shortName.test(await read("comm"))) return [];
      const line = await read("cmdline");
      return line !== "" && wanted(line.split("\0")) ? [Number(pid)] : [];
    }),
  );
  return found.flat();
}

/** Serve mounts whose share has this folder, or a folder in it, of the home. */
export async function serversOf(folder: string): Promise<readonly number[]> {
  const own = await processesWhere(/^mountaineer-fs/, () => true);
  const folders = await Promise.all(own.map((pid) => variableOf(pid, "MOUNTAINEER_SHARE_FOLDER")));
  return own.filter((_, at) => `${folders[at]}/`.startsWith(`${folder}/`));
}

export function killAll(pids: readonly number[]): void {
  for (const pid of pids) signalIfRuns(pid, "SIGKILL");
}

/** It may have ended meanwhile. */
export function signalIfRuns(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (systemErrorCode(error) !== "ESRCH") throw error;
  }
}

/** Whether no process, not even one that nobody has waited for, has this number. */
export function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return systemErrorCode(error) === "ESRCH";
  }
}

/** Processes of this home that are a daemon, or about to be one. */
export async function daemonsOf(home: string): Promise<readonly number[]> {
  const monitors = await processesWhere(
    NODE,
    (args) => args.includes("monitor") && args.some((arg) => arg.endsWith("/main.js")),
  );
  const homes = await Promise.all(monitors.map((pid) => variableOf(pid, "MOUNTAINEER_HOME")));
  return monitors.filter((_, at) => homes[at] === home);
}

/** A variable of a process's environment; undefined: it has none, or has ended. */
async function variableOf(pid: number, name: string): Promise<string | undefined> {
  const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
  const entry = environment.split("\0").find((one) => one.startsWith(`${name}=`));
  return entry?.slice(name.length + 1);
}
