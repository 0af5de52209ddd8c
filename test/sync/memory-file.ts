// A configuration file in memory, with watches on its folder, and with the delays and failures that a test needs.
import type { FolderEvents, FolderListener } from "../../src/sync/folder-events.ts";
import type { FileStat, WatchedFile } from "../../src/sync/watched-file.ts";

export interface MemoryFile extends WatchedFile {
  readonly events: FolderEvents;
  /** The number of looks (stat or read) until now. */
  readonly looks: number;
  /** The number of active folder watches. */
  readonly watches: number;
  save(text: string, options?: { readonly keepMtime?: boolean }): void;
  touch(): void;
  /** From now on, each stat has another inode. */
  changeInodes(): void;
  remove(): void;
  /** Looks reject with `error` until a call with null. */
  fail(error: Error | null): void;
  /** After `false`, looks stay pending until `true`. */
  answer(answering: boolean): void;
  /** Watching a folder throws `error` until a call with null. */
  refuseWatches(error: Error | null): void;
}

const FOLDER = "/home/user/.mountaineer";

export function createMemoryFile(initial: string | null): MemoryFile {
  let bytes = initial === null ? null : new TextEncoder().encode(initial);
  let mtimeNs = 1_000n;
  let ctimeNs = 1_000n;
  let failure: Error | null = null;
  let refusal: Error | null = null;
  let looks = 0;
  let ino = 2n;
  let areInodesNew = false;
  let waiting: (() => void)[] | null = null;
  const listeners = new Set<FolderListener>();

  const changed = (): void => {
    for (const { onName } of [...listeners]) onName("config.toml");
  };
  const look = async <T>(what: () => T): Promise<T> => {
    looks += 1;
    if (waiting !== null) await new Promise<void>((resolve) => waiting?.push(resolve));
    if (failure !== null) throw failure;
    return what();
  };

  return {
    path: `${FOLDER}/config.toml`,
    realPath: async (path) => path,
    isHere: () => true,
    stat: () =>
      look(
        (): FileStat | null =>
          bytes && {
            ...{ dev: 1n, ino: areInodesNew ? ino++ : ino, size: BigInt(bytes.length) },
            ...{ mtimeNs, ctimeNs },
          },
      ),
    read: () => look(() => bytes && { bytes, inode: "2" }),
    events: {
      watch(_folder, listener) {
        if (refusal !== null) throw refusal;
        listeners.add(listener);
        return { [Symbol.dispose]: () => void listeners.delete(listener) };
      },
    },
    get looks() {
      return looks;
    },
    get watches() {
      return listeners.size;
    },
    save(text, { keepMtime = false } = {}) {
      bytes = new TextEncoder().encode(text);
      ctimeNs += 1_000_000n;
      if (!keepMtime) mtimeNs = ctimeNs;
      changed();
    },
    changeInodes() {
      areInodesNew = true;
    },
    touch() {
      ctimeNs += 1_000_000n;
      mtimeNs = ctimeNs;
      changed();
    },
    remove() {
      bytes = null;
      changed();
    },
    fail(error) {
      failure = error;
    },
    answer(answering) {
      const due = waiting ?? [];
      waiting = answering ? null : due;
      if (answering) for (const go of due) go();
    },
    refuseWatches(error) {
      refusal = error;
    },
  };
}

/** A system error like Node's. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: on purpose`), { code });
}
