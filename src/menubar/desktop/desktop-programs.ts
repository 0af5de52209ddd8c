// The programs that a click starts: openers, windows that ask, and the daemon.
import { startDaemon } from "../../api/client/start-daemon.ts";
import { expecting, MountaineerError } from "../../runtime/errors.ts";
import { runCommand, startDetached } from "../../runtime/process/child-process.ts";
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";

/**
 * An opener that refuses a path exits within this time. An opener that shows the path may run as long as its window.
 */
const REFUSAL_WAIT_MS = 3_000;
/** Longest time a window waits for the user, ms. */
const CHOICE_DEADLINE_MS = 10 * 60_000;

/**
 * The command of a program that asks for a folder and prints it. The program exits with 0, or with 1 when the person
 * cancels.
 */
export type FolderChooser = (prompt: string, folder: string) => readonly [program: string, ...args: string[]];

/** Runs lines of AppleScript. The texts are arguments, so that they are never run as a script. */
function appleScript(lines: readonly string[], ...texts: readonly string[]) {
  return ["/usr/bin/osascript", ...lines.flatMap((line) => ["-e", line]), ...texts] as const;
}

const CHOOSE_FOLDER = [
  "on run argv",
  "POSIX path of (choose folder with prompt (item 1 of argv) default location (POSIX file (item 2 of argv)))",
  "end run",
];

export const MACOS_FOLDER_CHOOSERS: readonly FolderChooser[] = [
  (prompt, folder) => appleScript(CHOOSE_FOLDER, prompt, folder),
];

export const LINUX_FOLDER_CHOOSERS: readonly FolderChooser[] = [
  (prompt, folder) => [
    "zenity",
    "--file-selection",
    "--directory",
    `--title=${prompt}`,
    `--filename=${folder}/`,
  ],
  (prompt, folder) => ["kdialog", "--title", prompt, "--getexistingdirectory", folder],
];

/** The texts are plain text without control characters; only `text` may have several lines. */
export interface YesQuestion {
  readonly title: string;
  readonly text: string;
  readonly yes: string;
  readonly no: string;
}

/** A program that asks yes or no. It ends with 0 for yes and with 1 for no; Enter means no. */
export type Asker = (question: YesQuestion) => readonly [program: string, ...args: string[]];

const ASK_YES = [
  "on run argv",
  "display dialog (item 2 of argv) with title (item 1 of argv) buttons {item 4 of argv, item 3 of argv} default button 1 cancel button 1",
  "end run",
];

export const MACOS_ASKERS: readonly Asker[] = [
  ({ title, text, yes, no }) => appleScript(ASK_YES, title, text, yes, no),
];

export const LINUX_ASKERS: readonly Asker[] = [
  // zenity reads backslashes in a text as `echo -e` does.
  ({ title, text, yes, no }) => [
    "zenity",
    "--question",
    "--no-markup",
    "--default-cancel",
    "--width=720",
    `--title=${title}`,
    `--text=${text.replaceAll("\\", "\\\\")}`,
    `--ok-label=${yes}`,
    `--cancel-label=${no}`,
  ],
  // kdialog renders what looks like HTML.
  ({ title, text, yes, no }) => [
    "kdialog",
    "--title",
    title,
    "--yes-label",
    yes,
    "--no-label",
    no,
    "--warningyesno",
    `<pre>${text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)}</pre>`,
  ],
];

export interface DesktopOptions {
  /** Absolute. */
  readonly home: string;
  /** The command that runs this version of Mountaineer. */
  readonly program: readonly string[];
  /** The file that `--config` names, absolute; null if it is not given. */
  readonly configPath: string | null;
  /** The command that opens a path: `xdg-open` or `open`. */
  readonly opener: string;
  /** Programs that ask for a folder, tried in order until one can be started. */
  readonly folderChoosers: readonly FolderChooser[];
  /** Programs that ask yes or no, tried in order until one can be started. */
  readonly askers: readonly Asker[];
  /** The session's environment, for everything that is started. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

export type DesktopPrograms = ReturnType<typeof createDesktopPrograms>;

export function createDesktopPrograms(options: DesktopOptions) {
  const { home, program, configPath, opener, clock } = options;
  const env = Object.fromEntries(
    Object.entries(options.environment).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
  /** Runs the first of these programs that is installed; rejects with `instead` if none is. */
  const runFirst = async (
    commands: readonly (readonly [program: string, ...args: string[]])[],
    instead: { readonly message: string; readonly hint: string },
    signal: AbortSignal,
  ): Promise<{ readonly exitCode: number | null; readonly stdout: string }> => {
    for (const [file, ...args] of commands) {
      const options = { clock, env, signal, killGroup: true, deadlineMs: CHOICE_DEADLINE_MS };
      const ended = await runCommand(file, args, options).catch(expecting("program_unavailable", null));
      if (ended !== null) return ended;
    }
    throw new MountaineerError("program_unavailable", instead.message, { hint: instead.hint });
  };
  return {
    /** Shows a path. Rejects with `program_unavailable` if the opener cannot be started or refuses the path. */
    async openPath(path: string): Promise<void> {
      const child = await startDetached(opener, [path], { env, logPath: null });
      const isOver = await settledWithin(clock, REFUSAL_WAIT_MS, child.exited);
      const exit = isOver ? await child.exited : null;
      if (exit?.code)
        throw new MountaineerError(
          "program_unavailable",
          `${opener} cannot show it (exit code ${exit.code})`,
          { hint: `try it in a terminal: ${opener} ${path}` },
        );
    },
    /** Asks for a folder in a window, starting at `folder`; null if the user cancels. Rejects with `program_unavailable`. */
    async chooseFolder(prompt: string, folder: string, signal: AbortSignal): Promise<string | null> {
      const commands = options.folderChoosers.map((chooser) => chooser(prompt, folder));
      const instead = {
        message: "no program is installed that can ask for a folder",
        hint: "install zenity or kdialog; or: mountaineer alias add",
      };
      const { exitCode, stdout } = await runFirst(commands, instead, signal);
      return exitCode === 0 ? stdout.replace(/\n$/, "") : null;
    },
    /** Asks in a window; false for anything but a yes. Rejects with `program_unavailable`, also if no window could be shown. */
    async askYes(question: YesQuestion, signal: AbortSignal): Promise<boolean> {
      const instead = {
        message: "no program is installed that can ask",
        hint: "install zenity or kdialog; or: mountaineer approve",
      };
      const commands = options.askers.map((asker) => asker(question));
      const { exitCode } = await runFirst(commands, instead, signal);
      if (exitCode === 0) return true;
      if (exitCode === 1 || exitCode === 2) return false;
      throw new MountaineerError("program_unavailable", `no window could be shown (exit code ${exitCode})`, {
        hint: "in a terminal: mountaineer approve",
      });
    },
    /** Resolves once a daemon of this home answers; rejects with the error it has ended with. */
    async startDaemon(signal: AbortSignal): Promise<void> {
      const config = configPath === null ? [] : ["--config", configPath];
      const command = [...program, ...config, "monitor"];
      await startDaemon({ home, command, environment: env, clock, signal });
    },
  };
}
