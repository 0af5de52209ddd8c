// The definition of a command: its words, its options, and the function that runs it.
import type { Readable } from "node:stream";
import type { ReadStream } from "node:tty";
import type { Command } from "commander";
import type { TerminalStyle } from "../views/terminal-style.ts";

export interface Example {
  readonly command: string;
  readonly does: string;
}

/** The options as given, by their camelCase names; options.ts reads them. */
export type GivenOptions = Readonly<Record<string, unknown>>;

/** What is piped in, or a terminal. */
export type StandardInput = Readable & Partial<Pick<ReadStream, "isTTY" | "setRawMode">>;

export interface CommandContext {
  /** Mountaineer's own folder, absolute. */
  readonly home: string;
  /** What `--config` names, absolute; null when it is not given. */
  readonly configPath: string | null;
  readonly stdoutStyle: TerminalStyle;
  /** Whether stdout is a terminal: what is printed then is for eyes alone. */
  readonly isTerminal: boolean;
  /** Aborted by the first SIGINT or SIGTERM, with a MountaineerError as its reason. */
  readonly signal: AbortSignal;
  /** Aborted by the second. */
  readonly forceSignal: AbortSignal;
  /** Writes results to stdout. */
  readonly print: (text: string) => void;
  /** Writes one line to stderr. */
  readonly note: (line: string) => void;
  readonly stdin: StandardInput;
  /**
   * Asks a person, and resolves with the line that was typed ("" at its end); rejects with the signal's reason. null
   * where there is no terminal to ask: then nothing is asked.
   */
  readonly ask: ((question: string) => Promise<string>) | null;
  /** Until it is disposed, Ctrl-C is for the program in the foreground and ends nothing here. */
  readonly yieldInterrupts: () => Disposable;
}

/** Commands that share their first word. */
export interface CommandGroup {
  readonly name: string;
  /** Another word for it, which help does not show. */
  readonly alias?: string;
  readonly summary: string;
  readonly description: string;
  readonly examples: readonly Example[];
}

export interface CommandDefinition {
  /** Its words: "mount"; of one in a group, "config get". */
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** What else there is to know. */
  readonly description: string;
  readonly examples: readonly Example[];
  /** What its exit codes mean beyond those of every command. */
  readonly exits: Readonly<Record<number, string>>;
  readonly addOptions: (command: Command) => void;
  /** Resolves with the exit code. Loads what it needs itself, so that other commands need not. */
  readonly run: (context: CommandContext, options: GivenOptions, args: readonly string[]) => Promise<number>;
}

/** Commands whose names begin alike: `shares list`, `shares add`. */
export interface GroupedCommands {
  readonly group: CommandGroup;
  readonly commands: readonly CommandDefinition[];
}
