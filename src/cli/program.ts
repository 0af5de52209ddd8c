// Owns the command line as a whole: the commands put together, and what is said when it is not understood.
import { Command, CommanderError } from "commander";
import { packageVersion } from "../api/version.ts";
import { ERROR_CODES, MountaineerError } from "../runtime/errors.ts";
import type { CommandContext, CommandDefinition, Example } from "./command.ts";
import { COMMANDS } from "./command-list.ts";

export interface ProgramOptions {
  readonly makeContext: (configFile: string | null) => CommandContext;
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
}

const SUMMARY = "Keeps SMB shares mounted over the best route there is, always at the same path.";
const FIRST_EXAMPLES: readonly Example[] = [
  { command: "mountaineer monitor", does: "keep the shares up, in the foreground" },
  { command: "mountaineer status", does: "see how things are" },
];

/**
 * Runs the command that `args` name, and resolves with its exit code. Rejects with `usage` when they are not
 * understood, and with what the command rejects with.
 */
export async function parseAndRun(args: readonly string[], options: ProgramOptions): Promise<number> {
  let exitCode = 0;
  const program = createProgram(options, async (definition, command) => {
    const { config, ...given } = command.optsWithGlobals<Record<string, unknown>>();
    exitCode = await definition.run(options.makeContext(typeof config === "string" ? config : null), given);
  });
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    // Help in place of a command: all there is to say has been said.
    if (error.code === "commander.help") return ERROR_CODES.usage.exit;
    throw usageError(error, args);
  }
  return exitCode;
}

/** The whole command line; `act` runs when a command is chosen. */
export function createProgram(
  { print, complain }: Pick<ProgramOptions, "print" | "complain">,
  act: (definition: CommandDefinition, command: Command) => Promise<void>,
): Command {
  const program = new Command("mountaineer");
  program
    .description(SUMMARY)
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help for a command")
    .option("--config <file>", "use this configuration file (TOML or YAML) instead of the home's")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: print, writeErr: complain, outputError: () => {} })
    .exitOverride()
    .addHelpText("after", () => `${examplesText(FIRST_EXAMPLES)}\nmountaineer help <command> has more.`);
  for (const definition of COMMANDS) {
    const command = program.command(definition.name);
    command
      .summary(definition.summary)
      .description(`${capitalised(definition.summary)}.\n\n${definition.description}`);
    definition.addOptions(command);
    command.addHelpText("after", () => examplesText(definition.examples));
    command.action(() => act(definition, command));
  }
  return program;
}

function capitalised(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function examplesText(examples: readonly Example[]): string {
  return `\nExamples:\n${examples.map(({ command, does }) => `  ${command}\n      ${does}\n`).join("")}`;
}

function usageError(error: CommanderError, args: readonly string[]): MountaineerError {
  const [first = "", ...more] = error.message.replace(/^error: /, "").split("\n");
  const suggestion = /^\(Did you mean (?:one of )?(.+)\?\)$/.exec(more.join(" ").trim());
  const named = COMMANDS.find(({ name }) => args.includes(name));
  let hint = `mountaineer ${named === undefined ? "" : `${named.name} `}--help shows what there is`;
  if (suggestion?.[1] !== undefined) hint = `did you mean ${suggestion[1]}?`;
  else if (error.code === "commander.excessArguments") hint = "a share is named with --share NAME";
  return new MountaineerError("usage", first, { hint, cause: error });
}
