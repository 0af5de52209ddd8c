// Once a share is mounted, fills gaps in the cached files that were set aside (`set-aside.ts`) with the server's bytes.
// The server's file is only read, and a file that has changed since then is left as it is.
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { rcloneProgram } from "../../../rclone-release/installed.ts";
import { errorText } from "../../../runtime/errors.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import { runCommand } from "../../../runtime/process/child-process.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { type ByteRange, subtract, union } from "./cache-metadata.ts";
import type { RcloneFiles } from "./files.ts";
import {
  forgetRemoved,
  listSetAside,
  type SetAsideRecord,
  type SetAsideState,
  writeSetAsideRecord,
} from "./set-aside.ts";
import { containsZeros } from "./sparse-file.ts";

const SERVER_QUERY_MS = 30_000;
/** How long copying the server's whole file may take: it may be large. */
const COPIED_MS = 3_600_000;
/** Pauses between tries, because the server may be busy or away for a while. */
const PAUSES_MS = [2_000, 30_000, 300_000];
const PIECE_BYTES = 1024 * 1024;
/** Times that differ by at most this count as equal, ms: servers round the times of files differently. */
const SAME_TIME_MS = 2;
const FLAGS = ["--contimeout", "5s", "--timeout", "30s", "--low-level-retries", "3", "--retries", "1"];
/** Options that kill a command at once. Only for commands that leave no damage when they are killed. */
const ENDED_AT_ONCE = { killGroup: true, killGraceMs: 0 };

export function createCompletion({ clock, logger, home }: { clock: Clock; logger: Logger; home: string }) {
  const running = new Map<string, { readonly controller: AbortController; readonly ended: Promise<void> }>();

  const completeAll = async (shareName: string, files: RcloneFiles, signal: AbortSignal): Promise<number> => {
    let left = 0;
    for (const { path, record } of await listSetAside(files)) {
      if (signal.aborted) return 0;
      // Only the server for which a file was written has the missing parts.
      if (record?.state !== "incomplete" || record.server !== files.server) continue;
      try {
        const rclone = await rcloneProgram(home);
        const state = await completeOne(rclone, files, path, record, { clock, signal });
        if (state === "incomplete") left++;
        else {
          await writeSetAsideRecord(files, path, { ...record, state });
          logger.info("set aside file completed", { share: shareName, file: path, state });
        }
      } catch (error) {
        left++;
        logger.debug("set aside file not completed", {
          share: shareName,
          file: path,
          error: errorText(error),
        });
      }
    }
    return left;
  };

  const run = async (
    shareName: string,
    files: RcloneFiles,
    onChange: () => void,
    signal: AbortSignal,
  ): Promise<void> => {
    await forgetRemoved(files);
    for (const pauseMs of PAUSES_MS) {
      const left = await completeAll(shareName, files, signal);
      onChange();
      if (left === 0) return;
      await clock.sleep(pauseMs, signal);
    }
  };

  const stop = async (shareName: string): Promise<void> => {
    const own = running.get(shareName);
    own?.controller.abort();
    await own?.ended;
  };
  return {
    /** Ends the completion of a share's files; the next mount starts it again. Resolves when its processes have ended. */
    stop,
    /** Starts the completion for a share, replacing one that runs. `onChange` is called after each round. */
    start(shareName: string, files: RcloneFiles, onChange: () => void): void {
      void stop(shareName);
      const controller = new AbortController();
      const ended = run(shareName, files, onChange, controller.signal).catch((error: unknown) => {
        if (!controller.signal.aborted)
          logger.debug("set aside files not completed", { share: shareName, error: errorText(error) });
      });
      running.set(shareName, { controller, ended });
    },
  };
}

interface Limits {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

async function completeOne(
  rclone: string,
  files: RcloneFiles,
  path: string,
  record: SetAsideRecord,
  limits: Limits,
): Promise<SetAsideState> {
  const server = await queryServer(rclone, files, record, limits);
  if (server === "unknown") return "incomplete";
  if (server === null) return "gone";
  const { base } = record;
  if (base !== null && (base.size !== server.size || !isSameTime(base.time, server.time))) return "changed";
  const end = Math.min(record.serverEnd ?? server.size, server.size, record.size);
  const missing = subtract({ start: 0, end }, record.real);
  const storedPath = join(files.setAside, path);
  const copy = join(files.folder, "server-copy.part");
  try {
    const source = remotePath(record.cachePath);
    const { exitCode } = await runCommand(
      rclone,
      ["copyto", source, copy, "--config", files.config, ...FLAGS],
      {
        ...limits,
        ...ENDED_AT_ONCE,
        deadlineMs: COPIED_MS,
      },
    );
    if (exitCode !== 0) return "incomplete";
    const { atime, mtime, size } = await stat(storedPath);
    if (size !== record.size) return "complete";
    {
      await using from = await open(copy, "r");
      await using to = await open(storedPath, "r+");
      if ((await from.stat()).size !== server.size) return "changed";
      for (const range of missing) await copyRange(from, to, range);
      if (record.base === null) await fillBeforeEnd(from, to, record.real, server.size);
      await to.utimes(atime, mtime);
      await to.sync();
    }
    return "complete";
  } finally {
    await rm(copy, { force: true });
  }
}

async function copyRange(from: FileHandle, to: FileHandle, { start, end }: ByteRange): Promise<void> {
  const piece = Buffer.alloc(Math.min(PIECE_BYTES, end - start));
  for (let at = start; at < end; ) {
    const { bytesRead } = await from.read(piece, 0, Math.min(piece.length, end - at), at);
    if (bytesRead === 0) return;
    // On a disk that gets full, a write may take only a part; the next one then rejects.
    at += (await to.write(piece, 0, bytesRead, at)).bytesWritten;
  }
}

/**
 * If a program has appended to the file, copies the server's bytes of the block in which the appended data begins.
 * Without a record, the block must show where that data begins: zeros up to the end of the server's file, and data from
 * there on.
 */
async function fillBeforeEnd(
  from: FileHandle,
  to: FileHandle,
  real: readonly ByteRange[],
  serverSize: number,
): Promise<void> {
  const block = union(real).find(({ start, end }) => start < serverSize && serverSize < end);
  if (block === undefined) return;
  const start = Math.max(block.start, serverSize - (serverSize % 4096));
  const padding = { start, end: serverSize };
  if (start < serverSize && (await containsZeros(to, padding))) await copyRange(from, to, padding);
}

/** Asks the server for a file's size and time; null: the file is gone. */
async function queryServer(
  rclone: string,
  files: RcloneFiles,
  record: SetAsideRecord,
  limits: Limits,
): Promise<{ readonly size: number; readonly time: string } | null | "unknown"> {
  const args = ["lsjson", "--stat", remotePath(record.cachePath), "--config", files.config, ...FLAGS];
  const { exitCode, stdout } = await runCommand(rclone, args, {
    ...limits,
    ...ENDED_AT_ONCE,
    deadlineMs: SERVER_QUERY_MS,
  });
  // rclone's exit codes: folder not found, file not found.
  if (exitCode === 3 || exitCode === 4) return null;
  const { Size: size, ModTime: time, IsDir: isFolder } = jsonObject(stdout) ?? {};
  if (exitCode !== 0 || typeof size !== "number" || typeof time !== "string") return "unknown";
  return isFolder === true ? null : { size, time };
}

/** Turns `REMOTE/SHARE/path` into rclone's `REMOTE:SHARE/path`. */
function remotePath(cachePath: string): string {
  return cachePath.replace("/", ":");
}

/** `recorded` is as Go prints it, `2026-11-20 23:13:07.8675076 +0000 UTC`; `reported` is in RFC 3339. */
function isSameTime(recorded: string, reported: string): boolean {
  const [day, time] = recorded.split(" ");
  const difference = Date.parse(`${day}T${time?.replace(/(\.\d{3})\d+/, "$1")}Z`) - Date.parse(reported);
  return Math.abs(difference) <= SAME_TIME_MS;
}
