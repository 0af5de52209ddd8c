// Finds open files on Linux: one walk over /proc/*/{fd,cwd,root,maps}, which shows paths as the kernel knows them and
// never asks the file system behind them.
import { readdir, readdirSync, readFile, readlinkSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { promisify } from "node:util";
import { processName } from "../../runtime/process/process-name.ts";
import type { OpenFile, OpenFilesAnswer } from "./prober.ts";
import type { OpenFilesRequest } from "./prober-protocol.ts";
import { type FamilyOf, isOfGroups, kinInProc } from "./process-family.ts";

/** Maximum number of files in an answer: more are not shown. */
export const OPEN_FILES_AT_MOST = 200;
/** How long a scan may run before it lets the event loop handle checks, ms. */
const STRETCH_MS = 4;
const DELETED = " (deleted)";

interface Wanted {
  readonly path: string;
  readonly inside: string;
  /** The path as in a maps file, where a newline is \012. */
  readonly mapped: Buffer;
  readonly exceptPids: ReadonlySet<number>;
  readonly exceptGroups: ReadonlySet<number>;
  readonly files: OpenFile[];
  readonly visited: Set<string>;
}

/**
 * Finds the open files below the paths of each request: one answer per path. Rejects when `procFolder` itself
 * cannot be listed.
 */
export async function scanOpenFilesProc(
  requests: readonly OpenFilesRequest[],
  procFolder: string,
): Promise<readonly (readonly OpenFilesAnswer[])[]> {
  const kinOf = kinInProc(procFolder);
  const wanted = requests.map(({ paths, exceptPids, exceptGroups = [] }) => {
    const except = new Set([...exceptPids, process.pid]);
    const groups = new Set(exceptGroups);
    return paths.map((path): Wanted => {
      const inside = path === "/" ? "/" : `${path}/`;
      const mapped = Buffer.from(path.replaceAll("\n", "\\012"));
      return {
        path,
        inside,
        mapped,
        exceptPids: except,
        exceptGroups: groups,
        files: [],
        visited: new Set(),
      };
    });
  });
  const all = wanted.flat();
  let stretchFrom = performance.now();
  for (const name of readdirSync(procFolder)) {
    const pid = Number(name);
    if (!Number.isSafeInteger(pid)) continue;
    const mine = all.filter(({ exceptPids }) => !exceptPids.has(pid));
    if (mine.length > 0) await scanProcess(`${procFolder}/${name}`, pid, mine, kinOf);
    if (performance.now() - stretchFrom > STRETCH_MS) {
      await nextTurn();
      stretchFrom = performance.now();
    }
  }
  return wanted.map((ofRequest) => ofRequest.map(({ files }) => ({ ok: true, files })));
}

async function scanProcess(
  folder: string,
  pid: number,
  wanted: readonly Wanted[],
  kinOf: FamilyOf,
): Promise<void> {
  let command: string | null = null;
  const isOurs = new Map<Wanted, boolean>();
  // Called only for processes that have a wanted file open, because it may read /proc for each ancestor.
  const isExcepted = (one: Wanted): boolean => {
    const is = isOurs.get(one) ?? (one.exceptGroups.size > 0 && isOfGroups(pid, one.exceptGroups, kinOf));
    isOurs.set(one, is);
    return is;
  };
  const record = (path: string, how: OpenFile["how"]): void => {
    for (const one of wanted) {
      if (!isUnder(path, one) || one.files.length >= OPEN_FILES_AT_MOST) continue;
      const key = `${pid} ${path}`;
      if (one.visited.has(key) || isExcepted(one)) continue;
      one.visited.add(key);
      command ??= processName(folder) || "?";
      one.files.push({ pid, command, path, how });
    }
  };
  try {
    // Reading a link never blocks.
    for (const fd of await listFolder(`${folder}/fd`))
      recordLink(`${folder}/fd/${fd}`, (path) => record(path, "fd"));
    recordLink(`${folder}/cwd`, (path) => record(path, "cwd"));
    recordLink(`${folder}/root`, (path) => record(path, "root"));
    const maps = await readWhole(`${folder}/maps`);
    for (const path of mappedPaths(maps, wanted)) record(path, "mmap");
  } catch {
    // The process has since ended, or its files are hidden from us.
  }
}

function isUnder(path: string, { path: mount, inside }: Wanted): boolean {
  return path.startsWith(inside) || path === mount || path === `${mount}${DELETED}`;
}

function recordLink(link: string, record: (path: string) => void): void {
  let path: string;
  try {
    path = readlinkSync(link);
  } catch (error) {
    // The file has since been closed, or the process is a kernel thread, which has no cwd.
    if (isRefusal(error)) throw error;
    return;
  }
  if (path.startsWith("/")) record(path);
}

/** Asynchronous: listing descriptors waits for a program that is just starting, which may take seconds. */
const listFolder = promisify(readdir);

/** Asynchronous: reading maps waits for the process's memory lock, which a process stuck in the kernel may hold. */
const readWhole = promisify(readFile);

function mappedPaths(maps: Buffer, wanted: readonly Wanted[]): Set<string> {
  const paths = new Set<string>();
  for (const { mapped } of wanted) {
    for (let at = maps.indexOf(mapped); at !== -1; at = maps.indexOf(mapped, at + mapped.length)) {
      const lineStart = maps.lastIndexOf(0x0a, at) + 1;
      const lineEnd = maps.indexOf(0x0a, at);
      const line = maps.toString("utf8", lineStart, lineEnd === -1 ? maps.length : lineEnd);
      const pathStart = line.indexOf("/");
      if (pathStart !== -1) paths.add(line.slice(pathStart).replaceAll("\\012", "\n"));
    }
  }
  return paths;
}

function isRefusal(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EACCES" || error.code === "EPERM");
}
