// The programs that a click starts: one that opens a path, and the daemon. Both outlive the menu.
import { startDaemon } from "../api/client/start-daemon.ts";
import { whenAborted } from "../runtime/abort.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { runCommand, startDetached } from "../runtime/process/child-process.ts";
import { type Clock, settledWithin } from "../runtime/time/clock.ts";
import type { YesQuestion } from "./menu/approve-waiting.ts";

/** A program that cannot show a path exits at once; one that can may run as long as its window. */
const REFUSAL_WAIT_MS = 3_000;
/** A window waits for a person. */
const CHOICE_DEADLINE_MS = 10 * 60_000;

/** A program that asks for a folder, prints it, and ends with 0; with 1 when it was cancelled. */
export type FolderChooser = (prompt: string, folder: string) => readonly [program: string, ...args: string[]];

/** AppleScript gets its texts as arguments, so nothing of them is run as a script. */
const APPLE_SCRIPT = [
  "on run argv",
  "POSIX path of (choose folder with prompt (item 1 of argv) default location (POSIX file (item 2 of argv)))",
  "end run",
];

export const MACOS_FOLDER_CHOOSERS: readonly FolderChooser[] = [
  (prompt, folder) => ["/usr/bin/osascript", ...APPLE_SCRIPT.flatMap((line) => ["-e", line]), prompt, folder],
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

/** A program that asks yes or no. It ends with 0 for yes and with 1 for no; Enter means no. */
export type Asker = (question: YesQuestion) => readonly [program: string, ...args: string[]];

const APPLE_QUESTION = [
  "on run argv",
  "display dialog (item 2 of argv) with title (item 1 of argv) buttons {item 4 of argv, item 3 of argv} default button 1 cancel button 1",
  "end run",
];

export const MACOS_ASKERS: readonly Asker[] = [
  ({ title, text, yes, no }) => [
    "/usr/bin/osascript",
    ...APPLE_QUESTION.flatMap((line) => ["-e", line]),
    title,
    text,
    yes,
    no,
  ],
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
  /** The program and its first arguments, which run this very version. */
  readonly program: readonly string[];
  /** What `--config` names, absolute; null when it is not given. */
  readonly configPath: string | null;
  /** `xdg-open`, `open` */
  readonly opener: string;
  /** Tried in order until one can be started. */
  readonly folderChoosers: readonly FolderChooser[];
  /** The same for yes or no. */
  readonly askers: readonly Asker[];
  /** The session's environment: what is opened belongs to the session, and the daemon's secrets may be in it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

export function createDesktopPrograms(options: DesktopOptions) {
  const { home, program, configPath, opener, clock } = options;
  const env = Object.fromEntries(
    Object.entries(options.environment).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
  /** The first of these programs that is there; `instead`: what to do without any. */
  const runFirst = async (
    commands: readonly (readonly [program: string, ...args: string[]])[],
    instead: { readonly message: string; readonly hint: string },
    signal: AbortSignal,
  ): Promise<{ readonly exitCode: number | null; readonly stdout: string }> => {
    for (const [file, ...args] of commands) {
      try {
        return await runCommand(file, args, {
          clock,
          env,
          signal,
          killGroup: true,
          deadlineMs: CHOICE_DEADLINE_MS,
        });
      } catch (error) {
        if (!(error instanceof MountaineerError) || error.code !== "program_unavailable") throw error;
      }
    }
    throw new MountaineerError("program_unavailable", instead.message, { hint: instead.hint });
  };
  return {
    /** Rejects with `program_unavailable` when nothing could be started, or it refused at once. */
    async openPath(path: string, signal: AbortSignal): Promise<void> {
      const child = await startDetached(opener, [path], { env, logPath: null });
      const exited = Promise.race([child.exited, whenAborted(signal)]);
      const exit = (await settledWithin(clock, REFUSAL_WAIT_MS, exited)) ? await exited : undefined;
      if (exit?.code)
        throw new MountaineerError(
          "program_unavailable",
          `${opener} cannot show it (exit code ${exit.code})`,
          {
            hint: `try it in a terminal: ${opener} ${path}`,
          },
        );
    },
    /**
     * A window of the desktop's; null when it was cancelled. Rejects with `program_unavailable` where there is none, with
     * what to do instead.
     */
    async chooseFolder(prompt: string, folder: string, signal: AbortSignal): Promise<string | null> {
      const commands = options.folderChoosers.map((chooser) => chooser(prompt, folder));
      const instead = {
        message: "no program is installed that can ask for a folder",
        hint: "install zenity or kdialog; or: mountaineer alias add",
      };
      const { exitCode, stdout } = await runFirst(commands, instead, signal);
      return exitCode === 0 ? stdout.replace(/\n$/, "") : null;
    },
    /** A window, too; false for anything but a yes. Rejects as `chooseFolder`, and where a window could not be shown. */
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
    /** Resolves once a daemon of this home answers; rejects with what it ended with. */
    async startDaemon(signal: AbortSignal): Promise<void> {
      const config = configPath === null ? [] : ["--config", configPath];
      const command = [...program, ...config, "monitor"];
      await startDaemon({ home, command, environment: env, clock, signal });
    },
  };
}
