// Owns what a command of the command line is: its words, its options, and what it does.
import type { Command } from "commander";
import type { Look } from "./look.ts";

export interface Example {
  readonly command: string;
  readonly does: string;
}

/** The options as given, by their camelCase names; options.ts reads them. */
export type GivenOptions = Readonly<Record<string, unknown>>;

export interface CommandContext {
  /** Mountaineer's own folder, absolute. */
  readonly home: string;
  /** What `--config` names, absolute; null when it is not given. */
  readonly configPath: string | null;
  readonly stdoutLook: Look;
  /** Aborted by the first SIGINT or SIGTERM, with a MountaineerError as its reason. */
  readonly signal: AbortSignal;
  /** Aborted by the second. */
  readonly forceSignal: AbortSignal;
  /** Writes results to stdout. */
  readonly print: (text: string) => void;
  /** Writes one line to stderr. */
  readonly note: (line: string) => void;
}

export interface CommandDefinition {
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
  readonly run: (context: CommandContext, options: GivenOptions) => Promise<number>;
}
