// Finds processes, mounts and network namespaces that a test left behind, by the test's mark.
// On Linux from /proc; elsewhere only processes, from `ps`.
import { execFile } from "node:child_process";
import { readdir, readFile, readlink } from "node:fs/promises";
import { promisify } from "node:util";

/** The test's temporary folder: it is in the environment of every process that the test starts, and in most argvs. */
export interface Mark {
  readonly folder: string;
  /** A part of the names of the test's network namespaces. */
  readonly token: string;
}

export interface LeftBehind {
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
  /** Mount points under the folder. */
  readonly mounts: readonly string[];
  readonly namespaces: readonly string[];
}

export function isNothing(found: LeftBehind): boolean {
  return found.processes.length + found.mounts.length + found.namespaces.length === 0;
}

/** One line for each, for people. */
export function describeLeftBehind(found: LeftBehind): readonly string[] {
  return [
    ...found.processes.map(({ pid, command }) => `process ${pid} is still running: ${command.slice(0, 200)}`),
    ...found.mounts.map((path) => `still mounted: ${path}`),
    ...found.namespaces.map((name) => `network namespace still there: ${name}`),
  ];
}

/** Ignores processes that end meanwhile or cannot be inspected. */
export async function findLeftBehind(mark: Mark): Promise<LeftBehind> {
  const [processes, mounts, namespaces] = await Promise.all([
    findProcesses(mark.folder),
    findMounts(mark.folder),
    findNamespaces(mark.token),
  ]);
  return { processes, mounts, namespaces };
}

async function findProcesses(folder: string): Promise<LeftBehind["processes"]> {
  const names = await readdir("/proc").catch(() => null);
  if (names === null) return findProcessesByPs(folder);
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.filter((pid) => pid !== process.pid).map((pid) => commandIfMarked(pid, folder)),
  );
  return found.filter((entry) => entry !== null);
}

async function commandIfMarked(
  pid: number,
  folder: string,
): Promise<{ pid: number; command: string } | null> {
  const read = (name: string): Promise<string> => readFile(`/proc/${pid}/${name}`, "latin1").catch(() => "");
  const [argv, environment, cwd] = await Promise.all([
    read("cmdline"),
    read("environ"),
    readlink(`/proc/${pid}/cwd`).catch(() => ""),
  ]);
  if (![argv, environment, `${cwd}/`].some((text) => mentions(text, folder))) return null;
  // A zombie has ended.
  if (/^State:\s*Z/m.test(await read("status"))) return null;
  return { pid, command: argv.replaceAll("\0", " ").trim() };
}

/** Matches the whole path only: `/tmp/a/1` is not in `/tmp/a/12/x`. */
export function mentions(text: string, folder: string): boolean {
  for (let at = text.indexOf(folder); at !== -1; at = text.indexOf(folder, at + 1)) {
    const next = text[at + folder.length];
    if (next === undefined || !/[\w.-]/.test(next)) return true;
  }
  return false;
}

async function findProcessesByPs(folder: string): Promise<LeftBehind["processes"]> {
  const { stdout } = await promisify(execFile)("ps", ["-axww", "-o", "pid=,command="]);
  return stdout.split("\n").flatMap((line) => {
    const match = /^\s*(\d+)\s+(.*)$/.exec(line);
    if (match?.[1] === undefined || match[2] === undefined || !mentions(match[2], folder)) return [];
    const pid = Number(match[1]);
    return pid === process.pid ? [] : [{ pid, command: match[2] }];
  });
}

/** Mount points under the folder. */
export async function findMounts(folder: string): Promise<string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  return table.split("\n").flatMap((line) => {
    const path = line
      .split(" ")[4]
      ?.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
    return path?.startsWith(`${folder}/`) ? [path] : [];
  });
}

async function findNamespaces(token: string): Promise<string[]> {
  const names = await readdir("/run/netns").catch(() => []);
  return names.filter((name) => name.split("-").includes(token));
}

/** Ends and removes what was found, each by its id, path or name. Never rejects. */
export async function clearLeftBehind(found: LeftBehind): Promise<void> {
  for (const { pid } of found.processes) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // The process has ended.
    }
  }
  const tool = (file: string, args: string[]): Promise<unknown> =>
    promisify(execFile)(file, args, { timeout: 5000 }).catch(() => undefined);
  for (const path of found.mounts.toReversed()) await tool("umount", ["-l", path]);
  for (const name of found.namespaces) await tool("ip", ["netns", "delete", name]);
}
