// The process around a command: signals, closed streams, uncaught errors, and the exit code.
import { resolve } from "node:path";
import { findHomeContext, normalizeHome } from "../config/home-context.ts";
import { expandPath } from "../config/values/paths.ts";
import {
  ERROR_CODES,
  errorText,
  isSystemError,
  MountaineerError,
  recoverFrom,
  systemErrorCode,
} from "../runtime/errors.ts";
import { entryExists } from "../runtime/files/durable-file.ts";
import { restoreRecordPath } from "../runtime/files/home-marker.ts";
import { paintFor, type TerminalStyle } from "../runtime/text/paint.ts";
import { printable, printableJson } from "../runtime/text/plain-text.ts";
import { actAsOwner } from "./input/act-as-owner.ts";
import type { CommandContext, MakeContext, Signals } from "./input/command.ts";
import { promptOn } from "./input/prompt.ts";
import type { StandardInput } from "./input/standard-input.ts";
import { terminalStyle } from "./views/terminal-style.ts";

const SIGNAL_EXITS = { SIGINT: 130, SIGTERM: 143 } as const;
/** How long a command may take to end after a second signal, ms. */
const FORCED_END_MS = 300;
/** For unread output, once the command is to end. */
const FLUSH_DEADLINE_MS = 1_000;
/** The output of other commands is an answer: a slow reader, as a pager, gets all of it. */
const ENDS_UNREAD: readonly (string | undefined)[] = ["monitor", "mcp"];

interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

interface Streams {
  readonly stdin: StandardInput;
  readonly stdout: Output;
  readonly stderr: Output;
}

/** Runs the command of `args`, and resolves with the exit code. */
export type Dispatch = (
  args: readonly string[],
  streams: Pick<Streams, "stdout" | "stderr">,
  contextFor: MakeContext,
) => Promise<number>;

/** Runs the command line, and resolves with the exit code; prints errors on stderr. Does not end the process. */
export async function runCommandLine(
  args: readonly string[],
  streams: Streams,
  signals: Signals,
  dispatch: Dispatch,
): Promise<number> {
  let hasPrinted = false;
  const watched: Streams = {
    ...streams,
    stdout: {
      isTTY: streams.stdout.isTTY === true,
      columns: streams.stdout.columns ?? 0,
      write(text) {
        hasPrinted = true;
        return streams.stdout.write(text);
      },
    },
  };
  try {
    return await dispatch(args, watched, async (configFile, refusesRoot) => {
      await normalizeHome(process.env);
      const { home } = findHomeContext(process.env);
      await actAsOwner(home, args, refusesRoot);
      if (await entryExists(restoreRecordPath(home)).catch(recoverFrom(isSystemError, false))) {
        const { endRestore } = await import("./in-process/open.ts");
        const text = `mountaineer: a restore was interrupted; ${home} is as before\n`;
        if (await endRestore(home)) watched.stderr.write(text);
      }
      return makeContext(configFile, watched, signals);
    });
  } catch (error) {
    if (!hasPrinted && wantsJson(args))
      streams.stdout.write(printableJson(`${JSON.stringify(errorRecord(error), null, 2)}\n`));
    complain(error, streams.stderr);
    return exitCodeOfError(error);
  }
}

/** True for `--json` that is not an argument of another program, after `--`. */
function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end === -1 ? args.length : end).includes("--json");
}

function errorRecord(error: unknown) {
  const known = error instanceof MountaineerError ? error : null;
  const code = known?.code ?? (isMachineError(error) ? systemErrorCode(error) : "internal");
  return { error: { code, message: errorText(error), hint: known?.hint ?? null } };
}

/** Runs the command line and ends the process with its exit code. */
export async function run(args: readonly string[], dispatch: Dispatch): Promise<void> {
  const stop = new AbortController();
  const force = new AbortController();
  let stoppedBy: keyof typeof SIGNAL_EXITS | null = null;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (stoppedBy === null) {
        stoppedBy = signal;
        stop.abort(new MountaineerError("aborted", `stopped by ${signal}`));
      } else if (!force.signal.aborted) {
        force.abort(new MountaineerError("aborted", `stopped by a second ${signal}`));
        setTimeout(() => process.exit(SIGNAL_EXITS[signal]), FORCED_END_MS).unref();
      }
    });
  }
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error) => {
      // A reader that closed the pipe (`| head -1`) is not a failure, and must not end a daemon.
      if (systemErrorCode(error) === "EPIPE" || stream === process.stderr) return;
      const failure = new Error(`stdout cannot be written: ${error.message}`, { cause: error });
      fail(Object.assign(failure, { code: systemErrorCode(error) }), 1);
    });
  }
  process.on("uncaughtException", (error) => fail(error, exitCodeOfError(error)));
  process.on("unhandledRejection", (error) => fail(error, exitCodeOfError(error)));

  const signals = { signal: stop.signal, forceSignal: force.signal };
  let exitCode = await runCommandLine(args, process, signals, dispatch);
  const isCancelled = force.signal.aborted || exitCode === ERROR_CODES.aborted.exit;
  if (isCancelled && stoppedBy !== null) exitCode = SIGNAL_EXITS[stoppedBy];
  // Node reports a failed write in a later turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve));
  const end = ENDS_UNREAD.includes(args[0]) ? AbortSignal.abort() : stop.signal;
  await Promise.all([flushed(process.stdout, end), flushed(process.stderr, end)]);
  if (stoppedBy !== null && process.stdout.writableLength > 0) exitCode = SIGNAL_EXITS[stoppedBy];
  // Work that cannot end, such as a prober on a dead mount, must not keep the process alive.
  process.exit(exitCode);
}

function makeContext(
  configFile: string | null,
  { stdin, stdout, stderr }: Streams,
  signals: Signals,
): CommandContext {
  const homeContext = findHomeContext(process.env);
  return {
    ...signals,
    command: "",
    json: false,
    home: homeContext.home,
    remote: null,
    configPath: configFile === null ? null : resolve(expandPath(configFile, homeContext.userHome)),
    stdoutStyle: terminalStyle(stdout, process.env),
    isTerminal: stdout.isTTY === true,
    stdin,
    print: (text) => void stdout.write(text),
    notify: (line) => void stderr.write(`mountaineer: ${line}\n`),
    prompt:
      stdin.isTTY && stderr.isTTY ? (question) => promptOn(process.stdin, question, signals.signal) : null,
  };
}

function complain(error: unknown, stderr: Output): void {
  const { MOUNTAINEER_LOG } = process.env;
  const debug = MOUNTAINEER_LOG === "debug";
  stderr.write(failureText(error, { style: terminalStyle(stderr, process.env), debug }));
}

function fail(error: unknown, exitCode: number): void {
  complain(error, process.stderr);
  process.exit(exitCode);
}

function flushed(stream: NodeJS.WriteStream, end: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stream.writableLength === 0 || stream.destroyed) {
      resolve();
      return;
    }
    const leave = (): void => void setTimeout(resolve, FLUSH_DEADLINE_MS).unref();
    if (end.aborted) leave();
    else end.addEventListener("abort", leave, { once: true });
    stream.write("", () => resolve());
  });
}

// The message and the exit code of a failed command.

/** System errors that are caused by the machine, and not by an error in Mountaineer. */
const MACHINE_ERRORS: ReadonlySet<string | null> = new Set([
  "EACCES",
  "EDQUOT",
  "EFBIG",
  "EIO",
  "EISDIR",
  "ELOOP",
  "EMFILE",
  "ENAMETOOLONG",
  "ENFILE",
  "ENOMEM",
  "ENOSPC",
  "ENOTDIR",
  "EPERM",
  "EROFS",
]);
const MACHINE_EXIT = 1;

function isMachineError(error: unknown): boolean {
  return MACHINE_ERRORS.has(systemErrorCode(error));
}

/** The exit code of the error's code; 1 for an error of the machine, 70 for an error in Mountaineer. */
export function exitCodeOfError(error: unknown): number {
  if (!(error instanceof MountaineerError) && isMachineError(error)) return MACHINE_EXIT;
  return ERROR_CODES[error instanceof MountaineerError ? error.code : "internal"].exit;
}

/** The lines for stderr; with `debug`, stacks and causes too. */
export function failureText(
  error: unknown,
  { style, debug }: { style: TerminalStyle; debug: boolean },
): string {
  const paint = paintFor(style);
  const isExpected = error instanceof MountaineerError || isMachineError(error);
  // A message may list several errors, one per line.
  const [first = "", ...more] = `${isExpected ? "" : "internal error: "}${errorText(error)}`.split("\n");
  const lines = [
    `${paint.red("mountaineer:")} ${printable(first)}`,
    ...more.map((line) => `  ${printable(line.trimEnd())}`),
  ];
  let hint = error instanceof MountaineerError ? error.hint : null;
  if (!isExpected) hint = "this is a bug in Mountaineer; please report it, with MOUNTAINEER_LOG=debug set";
  if (hint !== null)
    lines.push(
      ...hint.split("\n").map((line, index) => `  ${index === 0 ? "hint: " : ""}${printable(line)}`),
    );
  if (debug) {
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      lines.push(
        ...(cause.stack ?? cause.message).split("\n").map((line) => paint.dim(`  ${printable(line)}`)),
      );
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}
