// Starts a backend's program, and turns the launcher's words into a failure that says what to do.
import type { ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { shownText } from "../../../../config/shown-values.ts";
import { errorText, systemErrorCode } from "../../../../runtime/errors.ts";
import { childEnvironment, spawnChild } from "../../../../runtime/process/child-process.ts";
import { type LinkFailure, linkFailure } from "../backend-link.ts";
import {
  NO_SANDBOX_PROGRAM,
  type ProgramSandbox,
  sandboxArguments,
  sandboxCommand,
  sandboxFailure,
} from "./sandbox.ts";
import { programPath, type Warden } from "./warden.ts";

export interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Resolved; added to the short list of variables that every child gets. */
  readonly env: Readonly<Record<string, string>>;
  /** Absolute. */
  readonly cwd: string;
  readonly warden: Warden;
  readonly sandbox?: ProgramSandbox;
}

export type BackendProcess = ChildProcess & {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
};

const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const LAUNCHER_WORDS = /^mountaineer-backend-launch: ([a-z-]+)$/;

/**
 * Starts it as the leader of a process group of its own. This thread waits for `/bin/sh` alone: folder and program are
 * looked up by the launcher, which may hang on a dead mount.
 */
export function startProgram(options: ProgramOptions): BackendProcess | LinkFailure {
  const strange = Object.keys(options.env).find((name) => !VARIABLE_NAME.test(name));
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
export function isLauncherLine(line: string): boolean {
  return LAUNCHER_WORDS.test(line);
}

/** What an end with this code and last line means, when it means that the program never ran; else null. */
export function startFailure(
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
