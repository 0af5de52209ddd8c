// Owns the command line as a whole: the commands put together, and what is said when it is not understood.
import { Command, CommanderError } from "commander";
import { packageVersion } from "../api/version.ts";
import { ERROR_CODES, MountaineerError } from "../runtime/errors.ts";
import type { CommandContext, CommandDefinition, CommandGroup, Example } from "./command.ts";
import { COMMAND_GROUPS, COMMANDS, SECTIONS } from "./command-list.ts";
import { meantBy } from "./meant-words.ts";

export interface ProgramOptions {
  readonly makeContext: (configFile: string | null) => CommandContext;
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
}

const SUMMARY =
  "Keeps SMB shares mounted over the best route there is, always at the same path; and serves many MCP servers as one.";
/** The commands about which one may think that shares are their arguments. */
const SHARE_COMMANDS: readonly string[] = ["verify", "reconcile", "mount", "unmount", "switch"];
const FIRST_EXAMPLES: readonly Example[] = [
  { command: "mountaineer monitor", does: "keep shares and gateway up, in the foreground" },
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
    const context = options.makeContext(typeof config === "string" ? config : null);
    exitCode = await definition.run(context, given, command.args);
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
    .addHelpCommand(
      new Command("help")
        .argument("[command]")
        .summary("show help for a command")
        .helpGroup(SECTIONS.at(-1)?.heading ?? ""),
    )
    .option("--config <file>", "use this configuration file (TOML or YAML) instead of the home's")
    .configureHelp({ showGlobalOptions: true, subcommandTerm: termOf })
    .configureOutput({ writeOut: print, writeErr: complain, outputError: () => {} })
    .exitOverride()
    .addHelpText("after", () => `${examplesText(FIRST_EXAMPLES)}\nmountaineer help <command> has more.`);
  const add = (parent: Command, definition: CommandDefinition): Command => {
    const command = parent.command(definition.name.split(" ").at(-1) ?? "");
    command
      .summary(definition.summary)
      .description(`${capitalised(definition.summary)}.\n\n${definition.description}`);
    definition.addOptions(command);
    command.addHelpText("after", () => examplesText(definition.examples));
    command.action(() => act(definition, command));
    return command;
  };
  for (const { heading, entries } of SECTIONS) {
    for (const entry of entries) {
      if ("group" in entry) {
        const group = addGroup(program, entry.group).helpGroup(heading);
        for (const definition of entry.commands) add(group, definition);
      } else add(program, entry).helpGroup(heading);
    }
  }
  return program;
}

/** A command in a list of them: its other word is for those who know it. */
function termOf(command: Command): string {
  const words = command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
  return [command.name(), ...(command.options.length > 0 ? ["[options]"] : []), ...words].join(" ");
}

function addGroup(program: Command, { name, alias, summary, description, examples }: CommandGroup): Command {
  const group = program.command(name);
  group.summary(summary).description(`${capitalised(summary)}.\n\n${description}`);
  group.addHelpText("after", () => examplesText(examples));
  if (alias !== undefined) group.alias(alias);
  return group;
}

/** The command that a definition became. */
export function commandOf(program: Command, { name }: Pick<CommandDefinition, "name">): Command | null {
  let found: Command | null = program;
  for (const word of name.split(" ")) found = found?.commands.find((each) => each.name() === word) ?? null;
  return found;
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
  const named = namedIn(args);
  const meant = error.code === "commander.unknownCommand" ? meantBy(args) : null;
  let hint = `mountaineer ${named === null ? "" : `${named} `}--help shows what there is`;
  if (meant !== null) hint = meant;
  else if (suggestion?.[1] !== undefined) hint = `did you mean ${suggestion[1]}?`;
  else if (error.code === "commander.excessArguments" && SHARE_COMMANDS.includes(named ?? ""))
    hint = "a share is named with --share NAME";
  return new MountaineerError("usage", first, { hint, cause: error });
}

/** The command, else the group, whose words are among the arguments. */
function namedIn(args: readonly string[]): string | null {
  const known = [
    ...COMMANDS.map(({ name }) => name),
    ...COMMAND_GROUPS.flatMap(({ name, alias }) => (alias === undefined ? [name] : [name, alias])),
  ];
  return known.find((name) => name.split(" ").every((word) => args.includes(word))) ?? null;
}
