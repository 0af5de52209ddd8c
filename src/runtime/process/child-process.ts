// Starts programs without a shell and with a minimal environment: commands with a deadline, which holds even for a child
// that hangs in the kernel, and processes that outlive the daemon.
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { errorText, MountaineerError, systemErrorCode } from "../errors.ts";
import { type Clock, systemClock, type Timer } from "../time/clock.ts";

const DEFAULT_MAX_OUTPUT_BYTES = 1024 * 1024;
const DEFAULT_KILL_GRACE_MS = 500;
/** Time from SIGKILL to giving up: a child that still runs then hangs in the kernel and may never end. */
const KILL_WAIT_MS = 250;
/** Time to read the rest of the output after an exit. Bounded, because a grandchild may hold the pipe open for ever. */
const DRAIN_MS = 100;

/** The variables that every child inherits, besides the locale. */
const INHERITED = [
  ...["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "TZ"],
  // Most children run the same modules as this process, so they use the same cache of compiled code.
  "NODE_COMPILE_CACHE",
];

export interface CommandOptions {
  /** Default: the system's. */
  readonly clock?: Clock;
  /**
   * The time from the start to SIGTERM, ms. The call resolves at most a second later, even if the child does
   * not end.
   */
  readonly deadlineMs: number;
  /** A stream is piped to the child's stdin. */
  readonly stdin?: string | Uint8Array | Readable | undefined;
  /** Called with each piece of stdout as it arrives; the result's `stdout` is then empty. */
  readonly onStdout?: (piece: string) => void;
  /** Added to the minimal environment of every child (`childEnvironment`). */
  readonly env?: Readonly<Record<string, string>>;
  /** Ends the child as the deadline does; the call then rejects with `aborted`. */
  readonly signal?: AbortSignal | undefined;
  /** Limit of stdout and of stderr each; the surplus is read and dropped. Default 1 MiB. */
  readonly maxOutputBytes?: number;
  /** Default UTF-8; `latin1` keeps each byte of stdout as one character. */
  readonly stdoutEncoding?: "utf8" | "latin1";
  /** Starts the child in a separate session, and signals its whole process group. */
  readonly killGroup?: boolean;
  /** The time from SIGTERM to SIGKILL, ms. Default 500; 0 kills at once. */
  readonly killGraceMs?: number;
}

export interface CommandResult {
  /** null if a signal ended the child, or if the child has not ended (stuck in the kernel). */
  readonly exitCode: number | null;
  readonly exitSignal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  readonly tookMs: number;
}

/**
 * Runs a program to its end. Resolves for any exit code. Rejects with `program_unavailable` when the program cannot
 * be started, and with `aborted` after the signal has ended it.
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const {
    clock = systemClock,
    signal,
    killGroup = false,
    maxOutputBytes = DEFAULT_MAX_OUTPUT_BYTES,
  } = options;
  if (signal?.aborted) throw abortedError(command, signal);
  const startedAtMs = clock.monotonicMs();
  const child = startChild(command, args, {
    env: childEnvironment(options.env),
    detached: killGroup,
    stdio: [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  const { onStdout, stdoutEncoding = "utf8" } = options;
  if (onStdout !== undefined) child.stdout?.setEncoding(stdoutEncoding).on("data", onStdout);
  const stdout = collect(onStdout === undefined ? child.stdout : null, maxOutputBytes, stdoutEncoding);
  const stderr = collect(child.stderr, maxOutputBytes);
  if (child.stdin !== null) {
    // EPIPE: the child ended without reading its input, which is not a failure.
    child.stdin.on("error", () => {});
    if (options.stdin instanceof Readable) options.stdin.pipe(child.stdin);
    else child.stdin.end(options.stdin);
  }
  const ending = await untilEnded(child, command, options);
  if (signal?.aborted && ending === "aborted") throw abortedError(command, signal);
  return {
    exitCode: child.exitCode,
    exitSignal: child.signalCode,
    stdout: stdout.text(),
    stderr: stderr.text(),
    timedOut: ending === "deadline",
    tookMs: clock.monotonicMs() - startedAtMs,
  };
}

export interface ExitInfo {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type DetachedProcess = Awaited<ReturnType<typeof startDetached>>;

interface DetachedOptions {
  /** Added to the minimal environment of every child (`childEnvironment`). */
  readonly env?: Readonly<Record<string, string>>;
  /** File (0600) that stdout and stderr are appended to, because a pipe would end with the daemon; null: discarded. */
  readonly logPath: string | null;
  /** All that the program reads from stdin. Default: nothing. */
  readonly stdin?: string;
}

/**
 * Starts a program that outlives this process, in a separate session, with no tie to this process's stdio or event
 * loop. Resolves when the program runs; rejects with `program_unavailable` when it cannot be started.
 */
export async function startDetached(command: string, args: readonly string[], options: DetachedOptions) {
  const log = options.logPath === null ? null : await open(options.logPath, "a", 0o600);
  try {
    const output = log === null ? "ignore" : log.fd;
    const child = startChild(command, args, {
      env: childEnvironment(options.env),
      detached: true,
      stdio: [options.stdin === undefined ? "ignore" : "pipe", output, output],
    });
    // The program may end without reading its input, which is not a failure here.
    child.stdin?.on("error", () => {}).end(options.stdin);
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
      /** Resolves when the program ends. Waiting for it does not keep this process running. */
      exited,
      /**
       * Calls `listener` once, also if the program has ended already. Returns a function that unregisters
       * `listener`.
       */
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

/** The environment of a child: the inherited variables of this process, the locale, and `extra`. */
export function childEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && (INHERITED.includes(name) || name.startsWith("LC_")))
      environment[name] = value;
  }
  return { ...environment, ...extra };
}

function startChild(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  try {
    // A spawn waits for the child's chdir and exec: a working directory on a hung mount would block this thread.
    return spawnChild(command, args, { ...options, cwd: "/", shell: false });
  } catch (error) {
    throw startFailure(command, error);
  }
}

/**
 * Like Node's `spawn`, but throws EMFILE when no file can be opened. Node's `spawn` then returns a child
 * whose `stdio` is undefined, and emits an `error` that ends this process if it has no listener.
 */
export function spawnChild(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(command, args, options);
  // `stdio` can be undefined, contrary to its type.
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
        ? `it ${command.includes("/") ? "" : "is not installed, or "}may not be executed`
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

/** Resolves when the child has ended and its output is read, or when the time to wait for that is over. */
function untilEnded(
  child: ChildProcess,
  command: string,
  options: CommandOptions,
): Promise<"exited" | "deadline" | "aborted"> {
  const {
    clock = systemClock,
    deadlineMs,
    signal,
    killGroup = false,
    killGraceMs = DEFAULT_KILL_GRACE_MS,
  } = options;
  return new Promise((resolve, reject) => {
    let ending: "exited" | "deadline" | "aborted" = "exited";
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
      resolve(ending);
    };
    const kill = (): void => {
      send(child, "SIGKILL", killGroup);
      after(KILL_WAIT_MS, finish);
    };
    const end = (reason: "deadline" | "aborted"): void => {
      if (ending !== "exited" || exited) return;
      ending = reason;
      if (killGraceMs === 0) {
        kill();
        return;
      }
      send(child, "SIGTERM", killGroup);
      after(killGraceMs, kill);
    };
    const onAbort = (): void => end("aborted");

    child.on("error", (error) => {
      // A failed start and a failed kill both emit `error`; without a pid, it was the start.
      if (child.pid !== undefined) return;
      release();
      reject(startFailure(command, error));
    });
    child.once("exit", () => {
      exited = true;
      // Members of the group may have survived the SIGTERM that ended their leader.
      if (ending !== "exited" && killGroup) send(child, "SIGKILL", true);
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
    // ESRCH: no process remains. EPERM: only members that changed their user remain (on macOS also zombies).
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
    const space = maxBytes - bytes;
    const part = chunk.length > space ? chunk.subarray(0, space) : chunk;
    if (part.length === 0) return;
    bytes += part.length;
    chunks.push(part);
  });
  // A broken pipe ends the output; the exit code says what happened.
  stream?.on("error", () => {});
  return { text: () => Buffer.concat(chunks).toString(encoding) };
}
