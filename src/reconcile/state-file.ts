// state.json: read without losing its content, and written durably, with one fsync for many callers.
import type { Stats } from "node:fs";
import { lstat } from "node:fs/promises";
import { errorText, MountaineerError, recoverFrom, systemErrorCode } from "../runtime/errors.ts";
import { moveAside, readIfPresent, removeLeftovers } from "../runtime/files/durable-file.ts";
import { createDurableValue } from "../runtime/files/durable-value.ts";
import type { RuntimeTools } from "../runtime/log/runtime-tools.ts";
import { decodeState, encodeState } from "./state-format.ts";
import type { RestoredState, ShareMemory, StateStore } from "./state-store.ts";

interface MemoryOptions extends RuntimeTools {
  readonly path: string;
  /** For commands that only read: nothing is written, moved or swept, and writes do nothing. */
  readonly readOnly?: boolean | undefined;
}

/**
 * Opens the state file. A corrupt file is set aside, and its intact records are kept. Rejects with `state_newer` (the file
 * is left untouched), or `home_unwritable` if it is not a regular file, or cannot be read or set aside.
 */
export async function openStateStore(options: MemoryOptions): Promise<StateStore> {
  const { readOnly = false } = options;
  await requireRegularFile(options.path);
  if (!readOnly) await sweepLeftovers(options);
  const recollection = await recollect(options);
  if (readOnly) return rememberNothing(recollection);
  const memory = keepMemory(options, recollection);
  // Puts the intact records of a corrupt file back on disk.
  if (recollection.setAside !== null) await memory.flush();
  return memory;
}

/** Reads the memory of each share, for commands that only look; none if it cannot be read. */
export async function recallShares(
  options: Omit<MemoryOptions, "readOnly">,
): Promise<RestoredState["shares"]> {
  const store = openStateStore({ ...options, readOnly: true });
  const isRefused = (error: unknown): boolean => error instanceof MountaineerError;
  return (await store.catch(recoverFrom(isRefused, null)))?.restored.shares ?? new Map();
}

/** Refuses pipes, whose read would wait for a writer, and symlinks, whose target must not be set aside. */
async function requireRegularFile(path: string): Promise<void> {
  let found: Stats;
  try {
    found = await lstat(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return;
    throw unusable(path, errorText(error), error);
  }
  if (!found.isFile()) throw unusable(path, `it is ${kindOf(found)}, not a regular file`);
}

function kindOf(found: Stats): string {
  if (found.isSymbolicLink()) return "a symbolic link";
  if (found.isDirectory()) return "a folder";
  if (found.isFIFO()) return "a named pipe";
  return found.isSocket() ? "a socket" : "a device";
}

function unusable(path: string, reason: string, cause?: unknown): MountaineerError {
  return new MountaineerError("home_unwritable", `cannot read ${path}: ${reason}`, {
    hint: "It must be a file that you may read and write; otherwise move it away.",
    cause,
  });
}

async function sweepLeftovers({ path, logger }: MemoryOptions): Promise<void> {
  try {
    await removeLeftovers(path);
  } catch (error) {
    logger.warn("temporary state files could not be swept", { path, error: errorText(error) });
  }
}

async function recollect(options: MemoryOptions): Promise<RestoredState> {
  const { path, logger, readOnly = false } = options;
  let text: string | null;
  try {
    text = await readIfPresent(path);
  } catch (error) {
    throw unusable(path, errorText(error), error);
  }
  if (text === null) return { shares: new Map(), observedAt: null, setAside: null };
  const state = decodeState(text);
  if (state.kind === "newer") {
    throw new MountaineerError(
      "state_newer",
      `${path} was written by a newer version (format ${state.version})`,
      {
        hint: "Run the newer version, or move the file away to start with empty state. The file was not changed.",
      },
    );
  }
  const { shares, observedAt } = state;
  if (state.kind === "whole") return { shares, observedAt, setAside: null };
  const setAside = readOnly ? null : await setFileAside(options);
  logger.error("the state file is corrupt", {
    path,
    reason: state.reason,
    set_aside: setAside,
    kept_shares: [...shares.keys()],
    lost_shares: state.lost.map(({ share, reason }) => `${share}: ${reason}`),
  });
  return { shares, observedAt, setAside };
}

async function setFileAside({ path, clock }: MemoryOptions): Promise<string> {
  try {
    return await moveAside(path, clock.wallMs());
  } catch (error) {
    throw new MountaineerError(
      "home_unwritable",
      `cannot set aside the corrupt ${path}: ${errorText(error)}`,
      {
        hint: "Move it away by hand, or make its folder writable.",
        cause: error,
      },
    );
  }
}

function rememberNothing(restored: RestoredState): StateStore {
  const saved = async (): Promise<null> => null;
  return {
    restored,
    save: saved,
    forget: saved,
    flush: saved,
    saveError: null,
    async [Symbol.asyncDispose]() {},
  };
}

function keepMemory({ path, clock, logger }: MemoryOptions, restored: RestoredState): StateStore {
  const shares = new Map<string, ShareMemory>(restored.shares);
  const file = createDurableValue({
    path,
    clock,
    content: () => encodeState(shares, clock.wallMs()),
    onUnsaved: ({ message }) => logger.error("the state file cannot be saved", { path, error: message }),
    onSavedAgain: (failures) => logger.info("the state file is saved again", { path, failures }),
  });
  return {
    restored,
    save(share, memory) {
      shares.set(share, memory);
      return file.save();
    },
    forget(share) {
      shares.delete(share);
      return file.save();
    },
    flush: file.save,
    get saveError() {
      return file.unsavedBecause;
    },
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}
