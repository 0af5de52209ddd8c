// MCP over a child process' stdin and stdout: newline-delimited JSON both ways, bounded, and the end of the whole
// process group whichever way the program ends.

import type { ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { shownText } from "../../../../config/shown-values.ts";
import { errorText, systemErrorCode } from "../../../../runtime/errors.ts";
import { childEnvironment, spawnChild } from "../../../../runtime/process/child-process.ts";
import { isVariableName } from "../../../../runtime/text/name-forms.ts";
import { type Clock, settledWithin, type Timer } from "../../../../runtime/time/clock.ts";
import type { RpcMessage } from "../../../json-rpc.ts";
import {
  type BackendLink,
  type CleanLine,
  closedLink,
  createLineCleaner,
  LIMIT_BYTES,
  type LinkEvents,
  type LinkFailure,
  linkFailure,
  linkText,
  type OpenLink,
} from "../backend-link.ts";
import { ExitReason, readLogLines } from "./log.ts";
import { MessageReader } from "./message-reader.ts";
import {
  NO_SANDBOX_PROGRAM,
  type ProgramSandbox,
  sandboxArguments,
  sandboxCommand,
  sandboxFailure,
} from "./sandbox.ts";
import { programPath, signalGroup, type Warden } from "./warden.ts";

/** From the end of stdin to SIGTERM, from there to SIGKILL, and from there to giving up (the kernel holds it). */
const CLOSE_MS = { term: 1_000, kill: 2_000, giveUp: 1_000 };
/** After an exit: a process that left the group may hold the pipes for ever. */
const DRAIN_MS = 500;
/** A program that closes its stdin or stdout usually ends with it. */
const PIPE_CLOSED_MS = 1_000;
/** A longer text is written as bytes, so that the backlog counts bytes; a short one is written faster as it is. */
const LONG_TEXT = 16_384;

export interface StdioLinkOptions extends ProgramOptions {
  readonly clock: Clock;
  /** Never appear in log lines and failures. */
  readonly secrets?: readonly string[];
  /** Of one message from the server. Default 64 MiB. */
  readonly lineLimitBytes?: number;
  /** Of what waits to be taken by the server. Default 64 MiB. */
  readonly backlogLimitBytes?: number;
}

/** A way to start the program anew, as one link each. Environment names are letters, digits and `_`. */
export function openStdioLink(options: StdioLinkOptions): OpenLink {
  return (events) => {
    const child = startProgram(options);
    return "kind" in child ? closedLink(child, events) : new StdioLink(child, options, events);
  };
}

class StdioLink implements BackendLink {
  readonly pid: number | null;
  readonly #child: BackendProcess;
  readonly #options: StdioLinkOptions;
  readonly #events: LinkEvents;
  readonly #clean: CleanLine;
  readonly #messages: MessageReader;
  readonly #endLog: ReturnType<typeof readLogLines>;
  readonly #exitReason = new ExitReason();
  readonly #gone = Promise.withResolvers<void>();
  /** The instance gets no more events. */
  #silent = false;
  /** We end it ourselves, for cause. */
  #killed = false;
  #closing: Promise<void> | null = null;
  #exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | null = null;
  /** Texts that go out at the end of this turn, as one. */
  #gathered = "";
  /** How many were sent in this turn of the event loop. */
  #inTurn = 0;
  /** The last turn in which something was sent had one text. */
  #isCalm = true;
  readonly #reading = new Set(["stdout", "stderr"]);
  #drainTimer: Timer | null = null;
  #pipeTimer: Timer | null = null;

  constructor(child: BackendProcess, options: StdioLinkOptions, events: LinkEvents) {
    const { clock, warden, lineLimitBytes = LIMIT_BYTES } = options;
    const { stdin, stdout, stderr } = child;
    this.pid = child.pid ?? null;
    this.#child = child;
    this.#options = options;
    this.#events = events;
    this.#clean = createLineCleaner(options.secrets ?? []);
    if (this.pid !== null) warden.watch(this.pid);
    this.#endLog = readLogLines(stderr, clock, (line) => this.#onLogLine(line));
    this.#messages = new MessageReader(stdout, lineLimitBytes, clock, {
      onMessage: (message) => events.onMessage(message, null),
      onNoise: (line) => events.onLogLine(this.#clean(line)),
      onFailure: (failure) => this.#kill(failure),
      onSettled: () => this.#finishWhenRead(),
    });
    stdin.on("error", (error) => this.#onPipeClosed(`it takes no more input: ${errorText(error)}`));
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
    const isFull = this.backlogBytes > (this.#options.backlogLimitBytes ?? LIMIT_BYTES);
    const json = linkText(message, isFull, this.#events, isOpen);
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
      // Read on and dropped: a server that blocks on a full pipe would not see its stdin end.
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
    if (!this.#silent && !isLauncherLine(line)) this.#events.onLogLine(this.#clean(line));
  }

  /**
   * What is sent in one turn of the event loop goes out as one write: that call is half of what a message costs. Where one
   * comes at a time, it does not wait for others.
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

  /** The process lives on, and cannot be talked with any more: calls would only run into their deadlines. */
  #onPipeClosed(message: string): void {
    if (this.#exit !== null || this.#closing !== null || this.#silent || this.#pipeTimer !== null) return;
    this.#pipeTimer = this.#options.clock.setTimer(PIPE_CLOSED_MS, () => {
      this.#pipeTimer = null;
      if (this.#messages.isHeld) this.#onPipeClosed(message);
      else if (this.#exit === null) this.#kill(linkFailure("closed", message));
    });
  }

  /** Ends it for cause: nothing more of it is told, and its group gets no grace. */
  #kill(failure: LinkFailure): void {
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
    // Without a process there is no exit; with one, this is about a signal that could not be sent.
    if (this.#child.pid !== undefined) return;
    this.#reading.clear();
    this.#killed = true;
    this.#gone.resolve();
    if (this.#silent) return;
    this.#silence();
    const message = `cannot start ${shownText(this.#options.command, "log")}: ${errorText(error)}`;
    this.#events.onClosed(linkFailure("unreachable", message));
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
      if (this.#messages.isHeld) {
        this.#limitDrain();
        return;
      }
      this.#reading.clear();
      this.#destroyPipes();
      this.#finishWhenRead();
    });
  }

  #destroyPipes(): void {
    const { stdin, stdout, stderr } = this.#child;
    for (const stream of [stdin, stdout, stderr]) stream.destroy();
  }

  /** The process has ended and all it wrote is handed over, or will never be. */
  #finishWhenRead(): void {
    if (this.#exit === null || this.#messages.isHeld || this.#reading.size > 0) return;
    this.#disposeTimers();
    this.#endLog(true);
    this.#messages.finish();
    if (this.#silent) return;
    this.#silence();
    this.#events.onClosed(this.#endFailure(this.#exit));
  }

  #endFailure({ code, signal }: { code: number | null; signal: NodeJS.Signals | null }): LinkFailure {
    const { lastLine, text } = this.#exitReason;
    const notStarted = startFailure(this.#options, code, lastLine);
    if (notStarted !== null) return notStarted;
    const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
    return linkFailure("closed", text === null ? how : `${how}: ${this.#clean(text)}`);
  }

  async #endInOrder(): Promise<void> {
    const isGone = (ms: number): Promise<boolean> =>
      settledWithin(this.#options.clock, ms, this.#gone.promise);
    const signal = (name: NodeJS.Signals): void => {
      if (this.pid !== null && this.#exit === null) signalGroup(this.pid, name);
    };
    this.#flush();
    this.#child.stdin.end();
    if (!this.#killed && (await isGone(CLOSE_MS.term))) return;
    signal("SIGTERM");
    if (!this.#killed && this.#exit === null && (await isGone(CLOSE_MS.kill))) return;
    signal("SIGKILL");
    if (await isGone(CLOSE_MS.giveUp)) return;
    // It sits in the kernel; the warden goes on knowing it.
    this.#child.unref();
    this.#destroyPipes();
  }
}

// Starts a backend's program, and turns the launcher's words into a failure that says what to do.

interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Resolved; added to the short list of variables that every child gets. */
  readonly env: Readonly<Record<string, string>>;
  /** Absolute. */
  readonly cwd: string;
  readonly warden: Warden;
  readonly sandbox?: ProgramSandbox;
}

type BackendProcess = ChildProcess & {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
};

const LAUNCHER_WORDS = /^mountaineer-backend-launch: ([a-z-]+)$/;

/**
 * Starts it as the leader of a process group of its own. This thread waits for `/bin/sh` alone: folder and program are
 * looked up by the launcher, which may hang on a dead mount.
 */
function startProgram(options: ProgramOptions): BackendProcess | LinkFailure {
  const strange = Object.keys(options.env).find((name) => !isVariableName(name));
  if (strange !== undefined) {
    return cannotStart(
      options,
      `${JSON.stringify(strange)} is no name for an environment variable`,
      "use letters, digits and underscores only",
    );
  }
  const { warden, command, args } = options;
  const inside = insideOf(options);
  if ("kind" in inside) return inside;
  const launch = [programPath("backend-launch.sh"), ...inside, command, ...args];
  try {
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
        ? "give the daemon more file descriptors (ulimit -n, LimitNOFILE), or configure fewer backends"
        : null;
    return cannotStart(options, errorText(error), hint);
  }
}

/** What stands before the program: its folder, or the folder of bubblewrap and its whole command line. */
function insideOf(options: ProgramOptions): readonly string[] | LinkFailure {
  const { cwd, command, sandbox } = options;
  if (sandbox === undefined) return [cwd];
  // The launcher does not see it, and bubblewrap would take it for an option.
  if (command === "" || command.startsWith("-")) return cannotStart(options, "it is not installed", null);
  const wrapped = sandboxArguments(sandbox, cwd);
  return "kind" in wrapped ? wrapped : ["/", ...sandboxCommand(sandbox), ...wrapped];
}

/** Whether a line of stderr is the launcher's word for us, and no output of the program. */
function isLauncherLine(line: string): boolean {
  return LAUNCHER_WORDS.test(line);
}

/** What an end with this code and last line means, when it means that the program never ran; else null. */
function startFailure(
  options: ProgramOptions,
  exitCode: number | null,
  lastLine: string | null,
): LinkFailure | null {
  if (lastLine === null || exitCode === 0) return null;
  if (options.sandbox !== undefined) {
    const isMissing = LAUNCHER_WORDS.exec(lastLine)?.[1] === "program-missing";
    const failed = isMissing
      ? NO_SANDBOX_PROGRAM
      : sandboxFailure(lastLine, shownText(options.command, "log"));
    return failed === null ? null : cannotStart(options, ...failed);
  }
  if (exitCode !== 126 && exitCode !== 127) return null;
  const failure = launcherFailures(options)[LAUNCHER_WORDS.exec(lastLine)?.[1] ?? ""];
  if (failure !== undefined) return cannotStart(options, ...failure);
  // The shell's own word: it found the file, and the system would not run it.
  if (!lastLine.startsWith(programPath("backend-launch.sh"))) return null;
  const hint = "its first line may name an interpreter that is not installed";
  return cannotStart(options, "the system cannot run it", hint);
}

/** By the launcher's word: the reason and the hint. */
function launcherFailures({ cwd, command }: ProgramOptions): Record<string, readonly [string, string]> {
  // A whole command line, as some clients take it.
  const isLine = /\s/.test(command);
  return {
    "folder-missing": [`its folder ${cwd} does not exist`, "create the folder, or change `cwd`"],
    "folder-is-file": [`${cwd} is no folder`, "change `cwd`"],
    "folder-closed": [`its folder ${cwd} may not be entered`, "check the folder's permissions"],
    "program-missing": [
      "it is not installed, or not on PATH",
      isLine
        ? "`command` is the program alone; give its arguments in `args`"
        : "install it, or give its absolute path as `command`",
    ],
    "program-closed": ["it may not be executed", `make it executable: chmod +x ${command}`],
    "program-is-folder": ["it is a folder", "give the program itself as `command`"],
  };
}

function cannotStart(options: ProgramOptions, reason: string, hint: string | null): LinkFailure {
  return linkFailure("unreachable", `cannot start ${shownText(options.command, "log")}: ${reason}`, hint);
}
