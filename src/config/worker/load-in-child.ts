// Reads and edits a configuration in a separate process, so that a hostile file does not block the daemon, and the
// parsers do not stay in its memory.

import { MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { SavedConfig } from "../edit/save.ts";
import { deepFreeze } from "../snapshot.ts";
import { type ReaderProcess, type StartReader, startReaderProcess } from "./reader-process.ts";
import type { LoadedByWorker, WorkerReply, WorkerRequest } from "./worker-messages.ts";

interface ApartOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** Default: starts a process. */
  readonly startReader?: StartReader | undefined;
}

/**
 * Loads a configuration. Rejects with `config_unreadable` (it cannot be read, or takes more than 10 s of CPU, 60 s in all, or
 * 256 MB of memory), `home_unwritable` (the starter cannot be written), and `aborted`.
 */
export async function loadConfigInChild(
  request: Omit<Extract<WorkerRequest, { kind: "load" }>, "kind">,
  options: ApartOptions,
): Promise<LoadedByWorker> {
  return loadedApart(await call({ kind: "load", ...request }, options), request.path);
}

export function loadedApart(reply: WorkerReply, path: string): LoadedByWorker {
  if (reply.kind !== "loaded") throw unexpected(path);
  const { kind: _, loaded, ...rest } = reply;
  return { ...rest, loaded: loaded.ok ? { ok: true, snapshot: deepFreeze(loaded.snapshot) } : loaded };
}

/**
 * Edits the file as `saveEdit` does, and rejects as it does; also with `usage` for an unknown key or a wrong
 * value, and with `aborted`.
 */
export async function saveConfigInChild(
  request: Extract<WorkerRequest, { kind: "edit" | "replace" }>,
  options: ApartOptions,
): Promise<SavedConfig> {
  const reply = await call(request, options);
  if (reply.kind !== "saved") throw unexpected(request.path);
  const { saved } = reply;
  if (!saved.ok) return saved;
  const { content, ...rest } = saved;
  return { ...rest, snapshot: deepFreeze(rest.snapshot), bytes: Buffer.from(content, "base64") };
}

function unexpected(path: string): MountaineerError {
  return new MountaineerError("internal", `${path}: the reader's answer does not match the request`);
}

function call(request: WorkerRequest, options: ApartOptions): Promise<WorkerReply> {
  const { clock, signal, startReader = startReaderProcess } = options;
  return callOnce(startReader(clock), request, signal);
}

/** Asks the reader once, like `reader.call`, and then ends the reader. */
export async function callOnce(
  reader: ReaderProcess,
  request: WorkerRequest,
  signal: AbortSignal | undefined,
): Promise<WorkerReply> {
  try {
    return await reader.call(request, signal);
  } finally {
    reader.end();
  }
}
