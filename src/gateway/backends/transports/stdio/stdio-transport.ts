// MCP over stdin and stdout of a child process, as newline-delimited JSON with limits. When the program ends, its
// whole process group ends.

import type { ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { ProtectedPaths } from "../../../../config/reachable-paths.ts";
import { shownCommand } from "../../../../config/shown-values.ts";
import { errorText, systemErrorCode } from "../../../../runtime/errors.ts";
import { childEnvironment, spawnChild } from "../../../../runtime/process/child-process.ts";
import { isVariableName } from "../../../../runtime/text/name-forms.ts";
import { shellCommand } from "../../../../runtime/text/plain-text.ts";
import { type Clock, settlesWithin, type Timer } from "../../../../runtime/time/clock.ts";
import type { RpcMessage } from "../../../json-rpc.ts";
import {
  type BackendTransport,
  type CleanLine,
  closedTransport,
  createLineCleaner,
  LIMIT_BYTES,
  messageText,
  type OpenTransport,
  type TransportEvents,
  type TransportFailure,
  transportFailure,
} from "../backend-transport.ts";
import { ExitReason } from "./exit-reason.ts";
import { readLogLines } from "./log.ts";
import { createMessageReader, type MessageReader } from "./message-reader.ts";
import {
  NO_SANDBOX_PROGRAM,
  type ProgramSandbox,
  sandboxArguments,
  sandboxCommand,
  sandboxFailure,
} from "./sandbox.ts";
import { programPath, signalGroup, type Warden } from "./warden.ts";

/** Time from the end of stdin to SIGTERM, from SIGTERM to SIGKILL, and from SIGKILL to giving up. */
const CLOSE_MS = { term: 1_000, kill: 2_000, giveUp: 1_000 };
/** Time to read the pipes after the exit; a process that left the group may keep them open for ever. */
const DRAIN_MS = 500;
/** Time for the program to end after it has closed its stdin or stdout. */
const PIPE_CLOSED_MS = 1_000;
/** Longer texts are written as bytes, so that the backlog counts bytes; for shorter ones strings are faster. */
const LONG_TEXT = 16_384;

export interface StdioTransportOptions extends ProgramOptions {
  readonly clock: Clock;
  /** Removed from log lines and failures. */
  readonly secrets?: readonly string[];
  /** Limit of one message from the server, and of the backlog. Default: LIMIT_BYTES. */
  readonly limitBytes?: number;
}

/** Each call of the returned function starts the program again, with its own transport. */
export function openStdioTransport(options: StdioTransportOptions): OpenTransport {
  return (events) => {
    const child = startProgram(options);
    return "kind" in child ? closedTransport(child, events) : new StdioTransport(child, options, events);
  };
}

class StdioTransport implements BackendTransport {
  readonly pid: number | null;
  readonly #child: BackendProcess;
  readonly #options: StdioTransportOptions;
  readonly #events: TransportEvents;
  readonly #clean: CleanLine;
  readonly #messages: MessageReader;
  readonly #endLog: ReturnType<typeof readLogLines>;
  readonly #exitReason = new ExitReason();
  readonly #gone = Promise.withResolvers<void>();
  /** True: no further events are delivered. */
  #silent = false;
  /** We have ended the program because of an error. */
  #killed = false;
  #closing: Promise<void> | null = null;
  #exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | null = null;
  /** Texts to write together at the end of this turn of the event loop. */
  #gathered = "";
  /** Number of texts sent in this turn. */
  #inTurn = 0;
  /** True if the last turn that had texts had only one. Then the first text of this turn is written at once. */
  #isCalm = true;
  /** The pipes that are still open. */
  readonly #reading = new Set(["stdout", "stderr"]);
  #drainTimer: Timer | null = null;
  #pipeTimer: Timer | null = null;

  constructor(child: BackendProcess, options: StdioTransportOptions, events: TransportEvents) {
    const { clock, warden, limitBytes = LIMIT_BYTES } = options;
    const { stdin, stdout, stderr } = child;
    this.pid = child.pid ?? null;
    this.#child = child;
    this.#options = options;
    this.#events = events;
    this.#clean = createLineCleaner(options.secrets ?? []);
    if (this.pid !== null) warden.watch(this.pid);
    this.#endLog = readLogLines(stderr, clock, (line) => this.#onLogLine(line));
    this.#messages = createMessageReader(stdout, limitBytes, clock, {
      onMessage: (message) => events.onMessage(message, null),
      onNoise: (line) => events.onLogLine(this.#clean(line)),
      onRequestFailed: (id, failure) => events.onRequestFailed(id, failure),
      onOddity: (oddity) => events.onQuirk(oddity),
      onFailure: (failure) => this.#kill(failure),
      onResumed: () => this.#finishWhenRead(),
    });
    stdin.on("error", (error) => this.#onPipeClosed(`it accepts no further input: ${errorText(error)}`));
    child.once("exit", (code, signal) => this.#onExit(code, signal));
    child.on("error", (error) => this.#onError(error));
    stdout.once("close", () => {
      this.#reading.delete("stdout");
      this.#onPipeClosed("it has closed its standard output");
      this.#finishWhenRead();
    });
    stderr.once("close", () => {
      this.#reading.delete("stderr");
      this.#finishWhenRead();
    });
  }

  get backlogBytes(): number {
    return this.#child.stdin.writableLength + this.#gathered.length;
  }

  send(message: RpcMessage): void {
    const { stdin } = this.#child;
    const isOpen = (): boolean => !this.#silent && this.#closing === null;
    if (!isOpen() || !stdin.writable) return;
    const isFull = this.backlogBytes > (this.#options.limitBytes ?? LIMIT_BYTES);
    const json = messageText(message, isFull, this.#events, isOpen);
    if (json === null) return;
    if (json.length <= LONG_TEXT) this.#gather(`${json}\n`);
    else {
      this.#flush();
      stdin.write(Buffer.from(`${json}\n`));
    }
  }

  established(): void {}

  close(): Promise<void> {
    if (this.#closing === null) {
      this.#silence();
      this.#disposeTimers();
      this.#endLog(false);
      // A server that blocks on a full pipe would not see the end of its stdin.
      this.#child.stdout.resume();
      this.#child.stderr.resume();
      this.#closing = this.#endInOrder();
    }
    return this.#closing;
  }

  #silence(): void {
    this.#silent = true;
    this.#messages.stop();
  }

  #disposeTimers(): void {
    this.#drainTimer?.[Symbol.dispose]();
    this.#pipeTimer?.[Symbol.dispose]();
  }

  #onLogLine(line: string): void {
    this.#exitReason.add(line);
    if (!this.#silent && !LAUNCHER_LINE.test(line)) this.#events.onLogLine(this.#clean(line));
  }

  /**
   * Joins the texts of one turn of the event loop, because a write is half of the cost of a message. While
   * messages come one at a time, each is written at once.
   */
  #gather(text: string): void {
    if (this.#inTurn === 0) setImmediate(this.#endTurn);
    this.#inTurn += 1;
    this.#gathered += text;
    if (this.#isCalm && this.#inTurn === 1) this.#flush();
  }

  readonly #endTurn = (): void => {
    this.#isCalm = this.#inTurn === 1;
    this.#inTurn = 0;
    this.#flush();
  };

  #flush(): void {
    const text = this.#gathered;
    if (text === "") return;
    this.#gathered = "";
    if (this.#child.stdin.writable) this.#child.stdin.write(text);
  }

  /** Ends a process that has closed its pipes but keeps running: calls to it would only time out. */
  #onPipeClosed(message: string): void {
    if (this.#exit !== null || this.#silent || this.#pipeTimer !== null) return;
    this.#pipeTimer = this.#options.clock.setTimer(PIPE_CLOSED_MS, () => {
      this.#pipeTimer = null;
      if (this.#messages.isPaused) this.#onPipeClosed(message);
      else if (this.#exit === null) this.#kill(transportFailure("closed", message));
    });
  }

  /** Kills the process group because of an error, which is reported as the last event. */
  #kill(failure: TransportFailure): void {
    if (this.#silent) return;
    this.#silence();
    this.#killed = true;
    this.#child.stdout.destroy();
    if (this.pid !== null && this.#exit === null) signalGroup(this.pid, "SIGKILL");
    setImmediate(() => {
      if (this.#closing === null) this.#events.onClosed(failure);
    });
  }

  #onError(error: Error): void {
    // If the process exists, the error is about a signal that could not be sent, and the exit follows.
    if (this.#child.pid !== undefined) return;
    this.#reading.clear();
    this.#killed = true;
    this.#gone.resolve();
    if (this.#silent) return;
    this.#silence();
    this.#events.onClosed(cannotStart(this.#options, errorText(error), null));
  }

  #onExit(code: number | null, signal: NodeJS.Signals | null): void {
    this.#exit = { code, signal };
    const swept = this.pid === null ? Promise.resolve() : this.#options.warden.release(this.pid);
    void swept.then(this.#gone.resolve, this.#gone.resolve);
    this.#limitDrain();
    this.#finishWhenRead();
  }

  #limitDrain(): void {
    this.#drainTimer = this.#options.clock.setTimer(DRAIN_MS, () => {
      if (this.#messages.isPaused) this.#limitDrain();
      else this.#destroyPipes();
    });
  }

  #destroyPipes(): void {
    const { stdin, stdout, stderr } = this.#child;
    for (const stream of [stdin, stdout, stderr]) stream.destroy();
  }

  /** Reports the end when the process has exited and its output has been delivered. */
  #finishWhenRead(): void {
    if (this.#exit === null || this.#messages.isPaused || this.#reading.size > 0) return;
    this.#disposeTimers();
    this.#endLog(true);
    this.#messages.finish();
    if (this.#silent || this.#messages.isPaused) return;
    this.#silence();
    this.#events.onClosed(this.#endFailure(this.#exit));
  }

  #endFailure({ code, signal }: { code: number | null; signal: NodeJS.Signals | null }): TransportFailure {
    const { lastLine, text } = this.#exitReason;
    const notStarted = startFailure(this.#options, code, lastLine);
    if (notStarted !== null) return notStarted;
    const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
    const failure = transportFailure("closed", text === null ? how : `${how}: ${this.#clean(text)}`);
    return code === 0 ? { ...failure, isOrderly: true } : failure;
  }

  async #endInOrder(): Promise<void> {
    const isGone = (ms: number): Promise<boolean> =>
      settlesWithin(this.#options.clock, ms, this.#gone.promise);
    const signal = (name: NodeJS.Signals): void => {
      if (this.pid !== null && this.#exit === null) signalGroup(this.pid, name);
    };
    this.#flush();
    this.#child.stdin.end();
    if (!this.#killed && (await isGone(CLOSE_MS.term))) return;
    signal("SIGTERM");
    if (!this.#killed && (await isGone(CLOSE_MS.kill))) return;
    signal("SIGKILL");
    if (await isGone(CLOSE_MS.giveUp)) return;
    // The kernel has not ended the process yet. The daemon no longer waits for it; the warden still watches
    // its group.
    this.#child.unref();
    this.#destroyPipes();
  }
}

// Starts a backend's program through a launcher script, and turns the launcher's error codes into failures
// with hints.

interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  /**
   * Variables for the program, with the values of secrets, besides the few that every child gets. Names: letters,
   * digits and `_`.
   */
  readonly env: Readonly<Record<string, string>>;
  /** An absolute path. */
  readonly cwd: string;
  readonly warden: Warden;
  readonly sandbox?: ProgramSandbox;
  /** Present: `cwd` is a client's folder, or one that no client owns. */
  readonly inClientFolder?: ClientFolder;
}

interface ClientFolder {
  /** `cwd` must be one of these folders, or lie below it. Null: no client owns `cwd`, which is made if it is missing. */
  readonly allowed: readonly string[] | null;
  readonly guarded: ProtectedPaths;
}

type BackendProcess = ChildProcess & {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
};

/** A line of stderr written by the launcher, with its error code. */
const LAUNCHER_LINE = /^mountaineer-backend-launch: ([a-z-]+)$/;

/**
 * Starts the program as the leader of a new process group. This thread waits only for `/bin/sh` to start: the
 * launcher, a shell script, looks up the folder and the program, because that may hang on a dead mount.
 */
function startProgram(options: ProgramOptions): BackendProcess | TransportFailure {
  const invalid = Object.keys(options.env).find((name) => !isVariableName(name));
  if (invalid !== undefined) {
    const reason = `${JSON.stringify(invalid)} cannot name an environment variable`;
    return cannotStart(options, reason, "use letters, digits and underscores only");
  }
  const { warden, command, args } = options;
  const prefix = launchPrefix(options);
  if ("kind" in prefix) return prefix;
  try {
    const launch = [programPath("backend-launch.sh"), ...prefix, command, ...args];
    const child = spawnChild("/bin/sh", launch, {
      cwd: "/",
      env: childEnvironment(options.env),
      detached: true,
      stdio: ["pipe", "pipe", "pipe", warden.channel()],
    });
    const { stdin, stdout, stderr } = child;
    if (stdin === null || stdout === null || stderr === null) return cannotStart(options, "no pipes", null);
    return Object.assign(child, { stdin, stdout, stderr });
  } catch (error) {
    const hint =
      systemErrorCode(error) === "EMFILE"
        ? "give the daemon more file descriptors (ulimit -n, LimitNOFILE), or configure fewer servers"
        : null;
    return cannotStart(options, errorText(error), hint);
  }
}

/**
 * The launcher's arguments before the program. Without a sandbox: the program's folder; with one: `/` and the command
 * line of bubblewrap.
 */
function launchPrefix(options: ProgramOptions): readonly string[] | TransportFailure {
  const { cwd, command, sandbox, inClientFolder } = options;
  if (inClientFolder !== undefined) return clientPrefix(cwd, inClientFolder);
  if (sandbox === undefined) return [cwd];
  // Bubblewrap would take such a command for an option.
  if (command === "" || command.startsWith("-")) return cannotStart(options, "it is not installed", null);
  const wrapped = sandboxArguments(sandbox, cwd);
  return "kind" in wrapped ? wrapped : ["/", ...sandboxCommand(sandbox), ...wrapped];
}

/** The launcher checks the folder itself, because looking at it may hang. */
function clientPrefix(cwd: string, { allowed, guarded }: ClientFolder): readonly string[] {
  const { homes, configs, userHome } = guarded;
  if (allowed === null) return ["--no-client", cwd, userHome, cwd, "--", "--"];
  return ["--client", cwd, userHome, ...allowed, "--", ...homes, ...configs, "--"];
}

/** Returns the failure of a program that never ran, found by exit code and last line; null if the program ran. */
function startFailure(
  options: ProgramOptions,
  exitCode: number | null,
  lastLine: string | null,
): TransportFailure | null {
  if (lastLine === null || exitCode === 0) return null;
  const [, code = ""] = LAUNCHER_LINE.exec(lastLine) ?? [];
  if (options.sandbox !== undefined) {
    const isMissing = code === "program-missing";
    const failed = isMissing
      ? NO_SANDBOX_PROGRAM
      : sandboxFailure(lastLine, shownCommand(options.command, "log"));
    return failed === null ? null : cannotStart(options, ...failed);
  }
  if (exitCode !== 126 && exitCode !== 127) return null;
  const failure = launcherFailures(options)[code];
  if (failure !== undefined) return cannotStart(options, ...failure);
  // A line that begins with the launcher's path comes from the shell: it found the program, but the system
  // cannot run it.
  if (!lastLine.startsWith(programPath("backend-launch.sh"))) return null;
  const hint = "its first line may name an interpreter that is not installed";
  return cannotStart(options, "the system cannot run it", hint);
}

/** Reason and hint by the launcher's error code. */
function launcherFailures({ cwd, command }: ProgramOptions): Record<string, readonly [string, string]> {
  // Some MCP clients accept a whole command line as `command`.
  const isLine = /\s/.test(command);
  return {
    "folder-missing": [`its folder ${cwd} does not exist`, "create the folder, or change `cwd`"],
    "folder-is-file": [`${cwd} is not a folder`, "change `cwd`"],
    "folder-closed": [`its folder ${cwd} may not be entered`, "check the folder's permissions"],
    "folder-not-allowed": [
      `the client's folder ${cwd} is not in or below one of \`[trust].client_folders\``,
      "add it there if servers may work on its files",
    ],
    "folder-is-home": [
      `the client's folder ${cwd} is your home folder, or lies above it`,
      "start the client in the folder of one project",
    ],
    "folder-is-ours": [
      `the client's folder ${cwd} is, holds or lies in a folder of Mountaineer`,
      "start the client in the folder of one project",
    ],
    "python-too-old": [
      "Python before 3.11 runs modules from the folder where it starts",
      "use Python 3.11 or later, or `uvx`",
    ],
    "program-missing": [
      "it is not installed, or not on PATH",
      isLine
        ? "`command` is only the program; give its arguments in `args`"
        : "install it, or give its absolute path as `command`",
    ],
    "program-closed": ["it may not be executed", `make it executable: ${shellCommand`chmod +x ${command}`}`],
    "program-is-folder": ["it is a folder", "give the program itself as `command`"],
  };
}

function cannotStart(options: ProgramOptions, reason: string, hint: string | null): TransportFailure {
  return transportFailure(
    "unreachable",
    `cannot start ${shownCommand(options.command, "log")}: ${reason}`,
    hint,
  );
}
