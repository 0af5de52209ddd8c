// Owns the asking of a running daemon over its socket: finding it, deadlines, and trust in nothing it answers.
import { lstat } from "node:fs/promises";
import { connect } from "node:net";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { errorText, MountaineerError, systemErrorCode } from "../runtime/errors.ts";
import {
  MANAGE_PREFIX,
  OPERATIONS,
  type OperationName,
  type ShareRequest,
  type StatusReport,
  type StepReport,
  type SwitchRequest,
  type UnmountRequest,
  type VerifyReport,
} from "./contract.ts";
import type { DaemonControl } from "./control.ts";
import { readDaemonNote } from "./daemon-note.ts";
import { errorFromBody } from "./http-errors.ts";
import { defaultSocketPath } from "./private-socket.ts";

// The daemon's thread never blocks and says every 2 s that a request is under way, so 6 s of silence are a hang.
const SILENCE_DEADLINE_MS = 6_000;
const CONNECT_DEADLINE_MS = 2_000;
const ANSWER_LIMIT_BYTES = 64 * 1024 * 1024;

/** The control of a daemon, as far as it can be had from outside: everything takes a while, and may be cancelled. */
export interface RemoteControl extends Omit<DaemonControl, "status"> {
  status(signal: AbortSignal): Promise<StatusReport>;
}

/** Every call may also reject with `daemon_unreachable`, `protocol`, or `aborted` when its signal did. */
export interface DaemonClient extends RemoteControl {
  readonly socketPath: string;
  /** As its daemon.json says; null when that is not known. */
  readonly pid: number | null;
}

export interface ConnectOptions {
  readonly clock?: Clock;
  /** How long a daemon may show no sign of life. */
  readonly silenceMs?: number;
}

/**
 * The daemon of this home, or null when none listens: no socket, or one that a dead daemon left. Rejects with
 * `permission_denied` when it is somebody else's.
 */
export async function connectToDaemon(
  home: string,
  options: ConnectOptions = {},
): Promise<DaemonClient | null> {
  const note = await readDaemonNote(home);
  const usual = defaultSocketPath(home);
  // The usual path too: after a crash the note may be older than the socket beside it.
  for (const path of new Set(note === null ? [usual] : [note.socket, usual])) {
    if (await isListening(path)) {
      return createClient(path, note?.socket === path ? note.pid : null, options);
    }
  }
  return null;
}

async function isListening(path: string): Promise<boolean> {
  try {
    await lstat(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || systemErrorCode(error) === "ENOTDIR") return false;
    throw notAllowed(path, error);
  }
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    // A full backlog leaves the caller waiting: somebody is there, and the request will tell how well.
    socket.setTimeout(CONNECT_DEADLINE_MS, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => {
      const code = systemErrorCode(error);
      if (code === "EACCES" || code === "EPERM") reject(notAllowed(path, error));
      else resolve(code === "EAGAIN");
    });
  });
}

function notAllowed(path: string, cause: unknown): MountaineerError {
  return new MountaineerError(
    "permission_denied",
    `the daemon's socket may not be opened: ${errorText(cause)}`,
    {
      cause,
      hint: `run this as the user who owns ${path}`,
    },
  );
}

function createClient(socketPath: string, pid: number | null, options: ConnectOptions): DaemonClient {
  const ask = async (
    operation: OperationName,
    body: object | null,
    signal: AbortSignal,
  ): Promise<unknown> => {
    const { status, value } = await exchange({ socketPath, pid, operation, body, signal, ...options });
    if (status === 200) return value;
    throw errorFromBody(value) ?? strange(`it answered ${operation} with HTTP ${status}`);
  };
  const askForSteps = async (
    operation: OperationName,
    body: ShareRequest | UnmountRequest | SwitchRequest,
    signal: AbortSignal,
  ) => {
    const value = await ask(operation, body, signal);
    const { stepReportSchema } = await import("./contract-schemas.ts");
    return expectShape<StepReport>(stepReportSchema, value, operation).results;
  };
  const shares = (selection: readonly string[] | null) => (selection === null ? null : [...selection]);
  return {
    socketPath,
    pid,
    async status(signal) {
      const value = await ask("status", null, signal);
      const { statusReportSchema } = await import("./contract-schemas.ts");
      return expectShape<StatusReport>(statusReportSchema, value, "status");
    },
    async verify(selection, signal) {
      const value = await ask("verify", { shares: shares(selection) }, signal);
      const { verifyReportSchema } = await import("./contract-schemas.ts");
      return expectShape<VerifyReport>(verifyReportSchema, value, "verify");
    },
    reconcile: (selection, signal) => askForSteps("reconcile", { shares: shares(selection) }, signal),
    mount: (selection, signal) => askForSteps("mount", { shares: shares(selection) }, signal),
    unmount: (selection, { force }, signal) =>
      askForSteps("unmount", { shares: shares(selection), force }, signal),
    switchRoute: (selection, { to, force, wait }, signal) =>
      askForSteps("switch", { shares: shares(selection), to, force, wait }, signal),
  };
}

interface Schema<T> {
  safeParse(
    value: unknown,
  ): { success: true; data: T } | { success: false; error: { issues: readonly Issue[] } };
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** The value itself, not the schema's copy of it: what a newer daemon says beyond the contract is kept. */
function expectShape<T>(schema: Schema<T>, value: unknown, operation: OperationName): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return value as T;
  const [issue] = parsed.error.issues;
  throw strange(
    `its answer to ${operation} is wrong at ${issue?.path.join(".") || "its root"}: ${issue?.message}`,
  );
}

function strange(what: string, cause?: unknown): MountaineerError {
  return new MountaineerError(
    "protocol",
    `the daemon answers what this version does not understand: ${what}`,
    {
      cause,
      hint: "after an update, restart the daemon so that both are of one version",
    },
  );
}

interface Question extends ConnectOptions {
  readonly socketPath: string;
  readonly pid: number | null;
  readonly operation: OperationName;
  readonly body: object | null;
  readonly signal: AbortSignal;
}

function exchange(question: Question): Promise<{ status: number; value: unknown }> {
  const { socketPath, pid, operation, body, signal } = question;
  const { clock = systemClock, silenceMs = SILENCE_DEADLINE_MS } = question;
  // Not imported: see server.ts.
  const { request: ask } = process.getBuiltinModule("node:http");
  const text = body === null ? null : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const request = ask({
      socketPath,
      path: `${MANAGE_PREFIX}/${operation}`,
      method: OPERATIONS[operation],
      agent: false,
      headers: {
        Host: "mountaineer",
        ...(text === null
          ? {}
          : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) }),
      },
    });
    const settle = (outcome: { status: number; value: unknown } | Error): void => {
      silence[Symbol.dispose]();
      signal.removeEventListener("abort", onAbort);
      // What still comes of the cut connection is nobody's business any more.
      request.on("error", () => {});
      request.destroy();
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    };
    const onSilence = (): void => settle(hung(pid, silenceMs));
    let silence = clock.setTimer(silenceMs, onSilence);
    const onSign = (): void => {
      silence[Symbol.dispose]();
      silence = clock.setTimer(silenceMs, onSilence);
    };
    const onAbort = (): void => {
      const reason: unknown = signal.reason;
      settle(reason instanceof MountaineerError ? reason : new MountaineerError("aborted", "cancelled"));
    };
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    request.on("information", onSign);
    request.once("error", (cause) => settle(lost(cause)));
    request.once("response", (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      onSign();
      response.on("data", (chunk: Buffer) => {
        onSign();
        bytes += chunk.length;
        if (bytes > ANSWER_LIMIT_BYTES) settle(strange("its answer has no end"));
        else chunks.push(chunk);
      });
      response.once("error", (cause) => settle(lost(cause)));
      response.once("end", () => {
        try {
          const value: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
          settle({ status: response.statusCode ?? 0, value });
        } catch (cause) {
          settle(strange(`its answer to ${operation} is not JSON`, cause));
        }
      });
    });
    request.end(text ?? undefined);
  });
}

function hung(pid: number | null, silenceMs: number): MountaineerError {
  const who = pid === null ? "the daemon" : `the daemon (pid ${pid})`;
  return new MountaineerError("daemon_unreachable", `${who} has said nothing for ${silenceMs / 1000} s`, {
    hint: `it hangs or the machine is overloaded; stop it${pid === null ? "" : ` (kill ${pid})`} and start mountaineer monitor again`,
    retry: "later",
  });
}

function lost(cause: Error): MountaineerError {
  const code = systemErrorCode(cause);
  if (code?.startsWith("HPE_")) return strange("it does not speak HTTP", cause);
  return new MountaineerError(
    "daemon_unreachable",
    "the connection to the daemon was lost before it answered",
    {
      cause,
      hint: "it was stopped or has crashed; mountaineer status tells how things are",
      retry: "later",
    },
  );
}
