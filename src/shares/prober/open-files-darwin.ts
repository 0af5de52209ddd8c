// Finds open files on macOS: libproc lists the processes that use a volume after one stat of its path.
import { loadForeignLibrary } from "../../network/native/foreign-library.ts";
import { errorText } from "../../runtime/errors.ts";
import type { OpenFilesAnswer } from "./prober.ts";
import type { OpenFilesScan } from "./prober-protocol.ts";
import { withoutGroups } from "./process-family.ts";

const LIBPROC = "/usr/lib/libproc.dylib";
const PROC_ALL_PIDS = 1;
/**
 * Flags of libproc: the path stands for its whole volume, and processes that only wait for events of the volume do
 * not count.
 */
const PATH_IS_VOLUME_NO_EVENTS = 1 | 2;
const PIDS_AT_MOST = 16_384;
const PID_BYTES = 4;
const NAME_BYTES = 64;

type Libproc = Awaited<ReturnType<typeof loadLibproc>>;

/** Rejects when koffi or the library cannot be loaded. */
export async function loadLibproc(path: string = LIBPROC) {
  const library = await loadForeignLibrary(path);
  const list = library.declareInPool("proc_listpidspath", "int", [
    "uint32_t",
    "uint32_t",
    "const char *",
    "uint32_t",
    "uint8_t *",
    "int",
  ]);
  const name: (pid: number, buffer: Uint8Array, bytes: number) => number = library.declare(
    "proc_name",
    "int",
    ["int", "uint8_t *", "uint32_t"],
  );
  return {
    /** Processes that hold anything on the volume. Runs on a thread of the pool, because it stats the path first. */
    async holders(volume: string): Promise<readonly number[]> {
      const buffer = Buffer.alloc(PIDS_AT_MOST * PID_BYTES);
      const bytes = await list(PROC_ALL_PIDS, 0, volume, PATH_IS_VOLUME_NO_EVENTS, buffer, buffer.length);
      if (bytes < 0) throw new Error("libproc could not list the volume's open files");
      return pidsIn(buffer.subarray(0, bytes));
    },
    /** The name of a process; "?" if the process has ended or belongs to another user. */
    nameOf(pid: number): string {
      const buffer = Buffer.alloc(NAME_BYTES);
      const length = name(pid, buffer, buffer.length);
      return length > 0 ? buffer.toString("utf8", 0, length) : "?";
    },
  };
}

function pidsIn(bytes: Buffer): readonly number[] {
  const pids = new Set<number>();
  for (let at = 0; at + PID_BYTES <= bytes.length; at += PID_BYTES) pids.add(bytes.readInt32LE(at));
  pids.delete(0);
  return [...pids];
}

/**
 * libproc names processes but not their files, so a holder is shown with the volume's path. `load`: for
 * tests.
 */
export function createOpenFilesScanDarwin(load: () => Promise<Libproc> = loadLibproc): OpenFilesScan {
  let loaded: Promise<Libproc> | null = null;

  return async (requests) => {
    loaded ??= load();
    const libproc = await loaded;
    return Promise.all(
      requests.map(({ paths, exceptPids, exceptGroups = [] }) => {
        const except = new Set([...exceptPids, process.pid]);
        return Promise.all(paths.map((path) => answerOf(libproc, path, except, exceptGroups)));
      }),
    );
  };
}

async function answerOf(
  libproc: Libproc,
  path: string,
  except: ReadonlySet<number>,
  exceptGroups: readonly number[],
): Promise<OpenFilesAnswer> {
  try {
    const pids = (await libproc.holders(path)).filter((pid) => !except.has(pid));
    const others = await withoutGroups(pids, exceptGroups);
    return {
      ok: true,
      files: others.map((pid) => ({ pid, command: libproc.nameOf(pid), path, how: "fd" })),
    };
  } catch (error) {
    return { ok: false, text: errorText(error) };
  }
}
