// Starts programs: argument arrays, a short environment, a deadline that holds even if the child hangs in the kernel,
// and processes that outlive the daemon.
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { errorText, MountaineerError, systemErrorCode } from "../errors.ts";
import type { Clock, Timer } from "../time/clock.ts";

const DEFAULT_MAX_OUTPUT_BYTES = 1024 * 1024;
const DEFAULT_KILL_GRACE_MS = 500;
/** A killed child that has not ended by then hangs in the kernel and may never end. */
const KILL_SETTLE_MS = 250;
/** After an exit, output still in the pipe comes at once; a grandchild that holds the pipe may never close it. */
const DRAIN_MS = 100;

const PASSED_ON = [
  ...["PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "TZ"],
  // A cache of compiled code that is set for this Node is meant for its children, too: most of them run the same modules.
  "NODE_COMPILE_CACHE",
];

interface CommandOptions {
  readonly clock: Clock;
  /** From the start to SIGTERM, ms. The call resolves at most a second later, whatever the child does. */
  readonly deadlineMs: number;
  /** A stream is passed on as it comes, and ends the child's input when it ends. */
  readonly stdin?: string | Uint8Array | Readable;
  /** Called with each piece of stdout as it comes, which is then not kept. */
  readonly onStdout?: (piece: string) => void;
  /** Added to the short list that every child gets (`childEnvironment`). */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Default "/": a spawn waits for the child's chdir and exec, so a cwd (or a folder in PATH) on a mount that hangs
   * would block this thread.
   */
  /** Ends the child as the deadline does; the call then rejects with `aborted`. */
  readonly signal?: AbortSignal;
  /** Kept of stdout and of stderr each; the rest is read and dropped. Default 1 MiB. */
  readonly maxOutputBytes?: number;
  /** Default UTF-8; `latin1` keeps each byte of stdout as one character. */
  readonly stdoutEncoding?: "utf8" | "latin1";
  /** Gives the child a session of its own and ends all that is in its process group. */
  readonly killGroup?: boolean;
  /** From SIGTERM to SIGKILL, ms. Default 500; 0 kills at once. */
  readonly killGraceMs?: number;
}

export interface CommandResult {
  /** null when a signal ended it, or when it has not ended (a child stuck in the kernel). */
  readonly exitCode: number | null;
  readonly exitSignal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  readonly tookMs: number;
}

/**
 * Runs a program to its end, never through a shell. Any exit is a value. Rejects with `program_unavailable` when
 * it cannot be started, and with `aborted` when the signal ends it (after the child has ended, if it does).
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const { clock, signal, killGroup = false, maxOutputBytes = DEFAULT_MAX_OUTPUT_BYTES } = options;
  if (signal?.aborted) throw abortedError(command, signal);
  const startedAtMs = clock.monotonicMs();
  const child = startChild(command, args, {
    cwd: "/",
    env: childEnvironment(options.env),
    detached: killGroup,
    stdio: [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  const { onStdout, stdoutEncoding = "utf8" } = options;
  if (onStdout !== undefined) child.stdout?.setEncoding(stdoutEncoding).on("data", onStdout);
  const stdout = collect(onStdout === undefined ? child.stdout : null, maxOutputBytes, stdoutEncoding);
  const stderr = collect(child.stderr, maxOutputBytes);
  if (child.stdin !== null) {
    // A child that ends without reading its input is no failure of ours (EPIPE).
    child.stdin.on("error", () => {});
    if (options.stdin instanceof Readable) options.stdin.pipe(child.stdin);
    else child.stdin.end(options.stdin);
  }
  const ending = await untilEnded(child, command, options);
  if (signal?.aborted && ending.why === "aborted") throw abortedError(command, signal);
  return {
    exitCode: child.exitCode,
    exitSignal: child.signalCode,
    stdout: stdout.text(),
    stderr: stderr.text(),
    timedOut: ending.why === "deadline",
    tookMs: clock.monotonicMs() - startedAtMs,
  };
}

export interface ExitInfo {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type DetachedProcess = Awaited<ReturnType<typeof startDetached>>;

interface DetachedOptions {
  /** Added to the short list that every child gets (`childEnvironment`). */
  readonly env?: Readonly<Record<string, string>>;
  /** stdout and stderr are appended to it (0600); null: they go nowhere. A pipe would end with the daemon. */
  readonly logPath: string | null;
}

/**
 * Starts what must outlive the daemon, in a session of its own, with no tie to our stdio or event loop.
 * Resolves when the program runs; rejects with `program_unavailable` when it cannot be started.
 */
export async function startDetached(command: string, args: readonly string[], options: DetachedOptions) {
  const log = options.logPath === null ? null : await open(options.logPath, "a", 0o600);
  try {
    const output = log === null ? "ignore" : log.fd;
    const child = startChild(command, args, {
      cwd: "/",
      env: childEnvironment(options.env),
      detached: true,
      stdio: ["ignore", output, output],
    });
    const exited = new Promise<ExitInfo>((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
    const pid = await new Promise<number>((resolve, reject) => {
      child.once("error", (error) => reject(startFailure(command, error)));
      child.once("spawn", () => {
        if (child.pid !== undefined) resolve(child.pid);
      });
    });
    child.on("error", () => {});
    child.unref();
    return {
      pid,
      /** Settles while our event loop runs; does not keep it running. */
      exited,
      /** Calls back once, at once if it has ended already. Returns its own unregister. */
      onExit(listener: (exit: ExitInfo) => void): () => void {
        let registered = true;
        void exited.then((exit) => {
          if (registered) listener(exit);
        });
        return () => {
          registered = false;
        };
      },
    };
  } finally {
    await log?.close();
  }
}

/** The environment of a child: of ours the variables of `PASSED_ON` and the locale, and `extra`. */
export function childEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && (PASSED_ON.includes(name) || name.startsWith("LC_")))
      environment[name] = value;
  }
  return { ...environment, ...extra };
}

function startChild(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  try {
    return spawnChild(command, args, { ...options, shell: false });
  } catch (error) {
    throw startFailure(command, error);
  }
}

/**
 * As Node's own, but throws when no file can be opened any more. Node then returns a child without streams (not even
 * null), and emits an `error` that ends the process unless somebody listens for it.
 */
export function spawnChild(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(command, args, options);
  // The type says that it is never undefined, but it can be.
  if (child.pid !== undefined || (child.stdio as unknown) !== undefined) return child;
  child.on("error", () => {});
  throw Object.assign(new Error("too many files are open"), { code: "EMFILE" });
}

function startFailure(command: string, error: unknown): MountaineerError {
  const code = systemErrorCode(error);
  const reason =
    code === "ENOENT"
      ? "it is not installed, or not on PATH"
      : code === "EACCES"
        ? "it may not be executed"
        : errorText(error);
  const passing = code === "EAGAIN" || code === "EMFILE" || code === "ENFILE" || code === "ENOMEM";
  return new MountaineerError("program_unavailable", `cannot start ${command}: ${reason}`, {
    cause: error,
    retry: passing ? "later" : "never",
  });
}

function abortedError(command: string, signal: AbortSignal): MountaineerError {
  return new MountaineerError("aborted", `${command} was cancelled`, { cause: signal.reason });
}

interface Ending {
  readonly why: "exited" | "deadline" | "aborted";
}

/** Resolves when the child has ended and its output is read, or when waiting for that is given up. */
function untilEnded(child: ChildProcess, command: string, options: CommandOptions): Promise<Ending> {
  const { clock, deadlineMs, signal, killGroup = false, killGraceMs = DEFAULT_KILL_GRACE_MS } = options;
  return new Promise((resolve, reject) => {
    let why: Ending["why"] = "exited";
    let exited = false;
    let timer: Timer | null = null;

    const after = (delayMs: number, callback: () => void): void => {
      timer?.[Symbol.dispose]();
      timer = clock.setTimer(delayMs, callback);
    };
    const release = (): void => {
      timer?.[Symbol.dispose]();
      signal?.removeEventListener("abort", onAbort);
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
      child.unref();
    };
    const finish = (): void => {
      release();
      resolve({ why });
    };
    const kill = (): void => {
      send(child, "SIGKILL", killGroup);
      after(KILL_SETTLE_MS, finish);
    };
    const end = (reason: "deadline" | "aborted"): void => {
      if (why !== "exited" || exited) return;
      why = reason;
      if (killGraceMs === 0) {
        kill();
        return;
      }
      send(child, "SIGTERM", killGroup);
      after(killGraceMs, kill);
    };
    const onAbort = (): void => end("aborted");

    child.on("error", (error) => {
      // Also emitted when a kill fails; only a child without a pid never started.
      if (child.pid !== undefined) return;
      release();
      reject(startFailure(command, error));
    });
    child.once("exit", () => {
      exited = true;
      // The group may hold members that outlived their leader's SIGTERM.
      if (why !== "exited" && killGroup) send(child, "SIGKILL", true);
      after(DRAIN_MS, finish);
    });
    child.once("close", finish);
    signal?.addEventListener("abort", onAbort, { once: true });
    after(deadlineMs, () => end("deadline"));
  });
}

function send(child: ChildProcess, signal: NodeJS.Signals, toGroup: boolean): void {
  if (!toGroup || child.pid === undefined) {
    child.kill(signal);
    return;
  }
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    // ESRCH: no process is left. EPERM: only members that changed their user are left (macOS: also zombies).
    const code = systemErrorCode(error);
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

function collect(
  stream: Readable | null,
  maxBytes: number,
  encoding: BufferEncoding = "utf8",
): { text(): string } {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream?.on("data", (chunk: Buffer) => {
    const room = maxBytes - bytes;
    const kept = chunk.length > room ? chunk.subarray(0, room) : chunk;
    if (kept.length === 0) return;
    bytes += kept.length;
    chunks.push(kept);
  });
  // A pipe that breaks ends the output; the exit says what happened.
  stream?.on("error", () => {});
  return { text: () => Buffer.concat(chunks).toString(encoding) };
}
