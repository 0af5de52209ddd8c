// The process of the fleet's nats-server. It outlives its parent, and is identified by its pid and start time.
import { open, rm, stat } from "node:fs/promises";
import { connect } from "node:net";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { entryExists, readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { startDetached } from "../../runtime/process/child-process.ts";
import { findProgram } from "../../runtime/process/find-program.ts";
import {
  endProcess,
  isRunning,
  type ProcessIdentity,
  processIdentity,
} from "../../runtime/process/process-identity.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import {
  type FleetContext,
  folderPaths,
  readFleet,
  removeOldLogs,
  withFolder,
  writeConfig,
} from "./fleet-folder.ts";
import { splitAddress } from "./join-code.ts";

const PROGRAM = "nats-server";
/** Folders where Debian and Homebrew install the program, and which a user's PATH may not contain. */
const MORE_FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"];
const PORT_TAKEN =
  "end what listens there (Debian's own nats-server does: systemctl disable --now nats-server); or begin the fleet at " +
  "another port: mountaineer fleet init --listen HOST:PORT";
const READY_WITHIN_MS = 15_000;
/** How long to wait for the server's confirmation of each of the `RELOADS_AT_MOST` reload requests, ms. */
const RELOADED_WITHIN_MS = 5_000;
const RELOADS_AT_MOST = 2;
const RELOAD_RESULT = /(Reloaded|Failed to reload) server configuration:?([^\n]*)/;
const ENDS_WITHIN_MS = 10_000;
const BETWEEN_CHECKS_MS = 25;
const LOG_PIECE_BYTES = 65_536;

/** Rejects with `program_unavailable` if there is none. */
export async function findServerProgram(path: string): Promise<string> {
  const found = await findProgram(PROGRAM, [...path.split(":"), ...MORE_FOLDERS]);
  if (found !== null) return found;
  throw new MountaineerError("program_unavailable", "nats-server is not installed", {
    hint: "Debian and Ubuntu: apt install nats-server; macOS: brew install nats-server; else https://nats.io/download",
  });
}

/** The server's process; null: it does not run. */
export async function runningServer(home: string): Promise<ProcessIdentity | null> {
  const { pid, startTime } = jsonObject((await readIfPresent(folderPaths(home).process)) ?? "") ?? {};
  if (typeof pid !== "number" || typeof startTime !== "string") return null;
  return (await isRunning({ pid, startTime })) ? { pid, startTime } : null;
}

/**
 * Whether the server runs and has its store; without the store it refuses everything. A server that is still
 * starting counts as running.
 */
export async function isServing(home: string): Promise<boolean> {
  return (await runningServer(home)) !== null && (await entryExists(folderPaths(home).store));
}

/**
 * Starts the server unless it runs, and resolves when it accepts connections. Resolves with "none" if this
 * home has no server. Rejects with `program_unavailable` and `fleet_server_failed`.
 */
export async function ensureServer(
  context: FleetContext,
  signal: AbortSignal,
): Promise<"none" | "ran" | "started"> {
  if ((await readFleet(context.home)) === null) return "none";
  return withFolder(context, signal, () => startUnlessRunning(context, signal));
}

/** The caller must hold the folder's lock. */
async function startUnlessRunning(
  context: FleetContext,
  signal: AbortSignal,
): Promise<"none" | "ran" | "started"> {
  const record = await readFleet(context.home);
  if (record === null) return "none";
  if (await isServing(context.home)) return "ran";
  const running = await runningServer(context.home);
  if (running !== null) await endServer(context, running, signal);
  await writeConfig(context.home, record);
  await start(context, record.address, signal);
  return "started";
}

async function start({ home, clock }: FleetContext, address: string, signal: AbortSignal): Promise<void> {
  const paths = folderPaths(home);
  const program = await findServerProgram(process.env["PATH"] ?? "");
  if (await answers(address)) {
    throw failed(`something else listens at ${address} already`, PORT_TAKEN);
  }
  const from = await sizeOf(paths.log);
  const server = await startDetached(program, ["-c", paths.config], { logPath: paths.log });
  const identity = await processIdentity(server.pid);
  // Records the process before the wait, so that the next command finds the server if this command is killed.
  if (identity !== null) {
    await writeDurably(paths.process, `${JSON.stringify(identity)}\n`).catch(async (error: unknown) => {
      // Ends the server, because no later command could find it. The disk may be full.
      await endProcess(identity, { clock, graceMs: 1_000, deadlineMs: ENDS_WITHIN_MS });
      throw error;
    });
  }
  const untilMs = clock.monotonicMs() + READY_WITHIN_MS;
  for (;;) {
    if (identity === null || !(await isRunning(identity))) {
      const why = await lastError(paths.log, from);
      const hint = /address already in use/.test(why) ? PORT_TAKEN : `see ${paths.log}`;
      throw failed(`nats-server ended at once: ${why}`, hint);
    }
    if (await answers(address)) return;
    if (clock.monotonicMs() >= untilMs) {
      await endProcess(identity, { clock, graceMs: 1_000, deadlineMs: ENDS_WITHIN_MS });
      throw failed(`nats-server does not answer at ${address}`, `see ${paths.log}`);
    }
    await clock.sleep(BETWEEN_CHECKS_MS, signal);
  }
}

/**
 * Makes the server reload its configuration; connections of removed users have ended when this resolves. Starts a server
 * that does not run, and restarts one that does not confirm the reload. Rejects with `fleet_server_failed`.
 */
export function reloadServer(context: FleetContext, signal: AbortSignal): Promise<void> {
  // The lock keeps two callers from reloading at once. Otherwise one of them could take the other's confirmation for
  // its own.
  return withFolder(context, signal, () => reload(context, signal));
}

async function reload(context: FleetContext, signal: AbortSignal): Promise<void> {
  for (let attempt = 0; attempt < RELOADS_AT_MOST; attempt++) {
    if ((await startUnlessRunning(context, signal)) === "started") return;
    const server = await runningServer(context.home);
    if (server !== null && (await reloads(context, server, signal))) return;
  }
  // No reload was confirmed: the server hangs, or cannot write its log to a full disk.
  const server = await runningServer(context.home);
  if (server !== null) await endServer(context, server, signal);
  await startUnlessRunning(context, signal);
}

/**
 * True if the log confirms the reload in time. Rejects with `fleet_server_failed` if the server refuses the
 * configuration.
 */
async function reloads(
  { home, clock }: FleetContext,
  server: ProcessIdentity,
  signal: AbortSignal,
): Promise<boolean> {
  const { log } = folderPaths(home);
  let from = await sizeOf(log);
  let output = "";
  try {
    process.kill(server.pid, "SIGHUP");
  } catch (error) {
    if (systemErrorCode(error) !== "ESRCH") throw error;
  }
  const untilMs = clock.monotonicMs() + RELOADED_WITHIN_MS;
  while (clock.monotonicMs() < untilMs && (await isRunning(server))) {
    const { text, to } = await textFrom(log, from);
    from = to;
    // The last line may be incomplete.
    output += text;
    const end = output.lastIndexOf("\n") + 1;
    const [, result, why = ""] = RELOAD_RESULT.exec(output.slice(0, end)) ?? [];
    output = output.slice(end);
    if (result === "Reloaded") return true;
    if (result !== undefined)
      throw failed(`nats-server refused its configuration: ${why.trim()}`, `see ${log}`);
    if (text === "") await clock.sleep(BETWEEN_CHECKS_MS, signal);
  }
  return false;
}

/** Ends the server and removes its folder; resolves with whether there was a folder. */
export async function removeServer(context: FleetContext, signal: AbortSignal): Promise<boolean> {
  const { home } = context;
  const { folder } = folderPaths(home);
  if (!(await entryExists(folder))) return false;
  await withFolder(context, signal, async () => {
    const server = await runningServer(home);
    if (server !== null) await endServer(context, server, signal);
    await rm(folder, { recursive: true, force: true });
  });
  return true;
}

async function endServer(
  { clock }: FleetContext,
  server: ProcessIdentity,
  signal: AbortSignal,
): Promise<void> {
  const limits = { clock, graceMs: ENDS_WITHIN_MS / 2, deadlineMs: ENDS_WITHIN_MS, signal };
  if (!(await endProcess(server, limits))) throw failed(`nats-server (pid ${server.pid}) does not end`, "");
}

/** Whether a server sends a greeting at this address. */
function answers(address: string): Promise<boolean> {
  const { host, port } = splitAddress(address);
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.setTimeout(2_000, () => end(false));
    socket.once("data", () => end(true));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
  });
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

/**
 * Resolves with the log's text from offset `from` on, and with the offset of the log's end. A log shorter than `from`
 * has been rotated and is read from its start.
 */
async function textFrom(path: string, from: number): Promise<{ text: string; to: number }> {
  const size = await sizeOf(path);
  const begin = size < from ? 0 : from;
  if (size === begin) return { text: "", to: begin };
  const file = await open(path, "r");
  try {
    const length = Math.min(size - begin, LOG_PIECE_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, begin);
    return { text: buffer.toString("utf8", 0, bytesRead), to: begin + bytesRead };
  } finally {
    await file.close();
  }
}

async function lastError(path: string, from: number): Promise<string> {
  const { text } = await textFrom(path, from).catch(() => ({ text: "" }));
  const lines = text.trim().split("\n");
  const error = lines.findLast((line) => /\[(ERR|FTL)\]|nats-server:/.test(line)) ?? lines.at(-1) ?? "";
  return error.replace(/^.*\[(ERR|FTL)\] /, "") || "it said nothing";
}

function failed(message: string, hint: string): MountaineerError {
  return new MountaineerError("fleet_server_failed", message, hint === "" ? {} : { hint });
}

// Keeps the fleet's server running: the daemon starts the server at its own start, and whenever the server has ended.

const CHECK_EVERY_MS = 3_000;
const AFTER_FAILURE_MS = 15_000;

interface KeepOptions extends FleetContext {
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Resolves at once if this home has no server, otherwise when the signal aborts; the server keeps running.
 * Never rejects.
 */
export async function keepServer({ home, clock, logger, signal }: KeepOptions): Promise<void> {
  let lastReason: string | null = null;
  while (!signal.aborted) {
    let pauseMs = CHECK_EVERY_MS;
    try {
      // Usually the server runs already. Checking this first avoids the folder's lock, which would block the
      // daemon's thread.
      const state = (await isServing(home)) ? "ran" : await ensureServer({ home, clock }, signal);
      if (state === "none") return;
      if (state === "started") logger.info("fleet server started");
      lastReason = null;
      await removeOldLogs(home);
    } catch (error) {
      if (signal.aborted) return;
      const reason = errorText(error);
      if (reason !== lastReason) logger.warn("fleet server does not run", { reason });
      lastReason = reason;
      pauseMs = AFTER_FAILURE_MS;
    }
    await clock.sleep(pauseMs, signal).catch(() => {});
  }
}
