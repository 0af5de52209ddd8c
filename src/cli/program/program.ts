// The whole command line: puts the commands together, and explains mistakes in what was typed.
import { Argument, Command, CommanderError, Help, InvalidArgumentError } from "commander";
import { packageVersion } from "../../api/version.ts";
import { ERROR_CODES, MountaineerError } from "../../runtime/errors.ts";
import { shellWord } from "../../runtime/text/plain-text.ts";
import { closestWord } from "../../runtime/text/suggest.ts";
import type {
  CommandContext,
  CommandDefinition,
  CommandGroup,
  Examples,
  Taken,
  Takes,
} from "../input/command.ts";
import { meantBy, plainWords } from "../input/meant-words.ts";
import { COMMAND_GROUPS, COMMANDS, SECTIONS } from "./command-list.ts";

export interface ProgramOptions {
  readonly makeContext: (configFile: string | null) => CommandContext;
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
}

const SUMMARY =
  "Keeps SMB shares mounted over the best route there is, always at the same path; and serves many MCP servers as one.";
/** The commands about which one may think that shares are their arguments. */
const SHARE_COMMANDS: readonly string[] = ["verify", "reconcile", "mount", "wake", "unmount", "switch"];
/** From so many columns on, names and what they do stand side by side. */
const WIDE = 60;
const NARROWEST = 20;
const BELOW = "      ";
const FIRST_EXAMPLES: Examples = {
  "mountaineer up": "keep shares and gateway up, in the background",
  "mountaineer status": "see how things are",
};

/**
 * Runs the command that `args` name, and resolves with its exit code. Rejects with `usage` when they are not
 * understood, and with what the command rejects with.
 */
export async function parseAndRun(args: readonly string[], options: ProgramOptions): Promise<number> {
  let exitCode = 0;
  refuseUnknownHelp(args);
  const program = createProgram(options, async (definition, command) => {
    const { config, ...given } = command.optsWithGlobals<Record<string, unknown>>();
    const context = options.makeContext(typeof config === "string" ? config : null);
    exitCode = await definition.run(context, given, command.processedArgs);
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
    .configureHelp({
      showGlobalOptions: true,
      subcommandTerm: termOf,
      formatItem: itemOf,
      minWidthToWrap: NARROWEST,
    })
    .configureOutput({ writeOut: print, writeErr: complain, outputError: () => {} })
    .exitOverride()
    .addHelpText("after", () => `${examplesText(FIRST_EXAMPLES)}\nmountaineer help <command> has more.`);
  const add = (parent: Command, definition: CommandDefinition): Command => {
    const command = parent.command(definition.name.split(" ").at(-1) ?? "");
    command
      .summary(definition.summary)
      .description(`${capitalised(definition.summary)}.\n\n${definition.description}`);
    addTaken(command, definition.takes);
    command.addHelpText("after", () => examplesText(definition.examples));
    command.action(() => act(definition, command));
    return command;
  };
  for (const { heading, entries } of SECTIONS) {
    for (const entry of entries) {
      if ("group" in entry) {
        const group = addGroup(program, entry.group);
        if (!entry.group.name.includes(" ")) group.helpGroup(heading);
        for (const definition of entry.commands) add(group, definition);
      } else add(program, entry).helpGroup(heading);
    }
  }
  return program;
}

/** Has `command` take what is declared. */
export function addTaken(command: Command, takes: Takes): void {
  for (const [words, declared] of Object.entries(takes)) {
    const taken: Taken = typeof declared === "string" ? { about: declared } : declared;
    const { about, choices, isOpen, isRequired, conflicts, implies } = taken;
    const isArgument = /^[<[]/.test(words);
    const one = isArgument ? command.createArgument(words, about) : command.createOption(words, about);
    if (choices !== undefined) one.choices(choices);
    if (isOpen === true || taken.read !== undefined || taken.isList === true)
      one.argParser(readerOf(words, taken));
    if (one instanceof Argument) command.addArgument(one);
    else {
      one.makeOptionMandatory(isRequired === true).conflicts([...(conflicts ?? [])]);
      command.addOption(one.implies({ ...implies }));
    }
  }
}

/** Reads a word, the one before it being `before` where there may be several. */
function readerOf(
  words: string,
  { read = (text) => text, expected = "", isList = words.includes("...") }: Taken,
) {
  return (text: string, before: unknown): unknown => {
    const value = read(text);
    if (value === null) throw new InvalidArgumentError(`It is ${expected}.`);
    return isList ? [...(Array.isArray(before) ? before : []), value] : value;
  };
}

/** One entry of a list; in a narrow terminal its description goes below it. */
function itemOf(this: Help, term: string, termWidth: number, description: string, helper: Help): string {
  const width = this.helpWidth ?? WIDE;
  if (width >= WIDE || description === "") {
    return Help.prototype.formatItem.call(this, term, termWidth, description, helper);
  }
  const below = helper.boxWrap(description, width - BELOW.length);
  return [`  ${term}`, ...below.split("\n").map((line) => `${BELOW}${line}`)].join("\n");
}

/** A command in a list of them: its other word is for those who know it. */
function termOf(command: Command): string {
  const words = command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
  return [command.name(), ...(command.options.length > 0 ? ["[options]"] : []), ...words].join(" ");
}

/** A group in a group follows that in the list. */
function addGroup(program: Command, { name, alias, summary, description, examples }: CommandGroup): Command {
  const words = name.split(" ");
  const parent = commandOf(program, { name: words.slice(0, -1).join(" ") }) ?? program;
  const group = parent.command(words.at(-1) ?? "");
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

function examplesText(examples: Examples): string {
  const lines = Object.entries(examples).map(([command, does]) => `  ${command}\n      ${does}\n`);
  return `\nExamples:\n${lines.join("")}`;
}

function usageError(error: CommanderError, args: readonly string[]): MountaineerError {
  const [first = "", ...more] = error.message.replace(/^error: /, "").split("\n");
  const named = namedIn(args);
  let hint = `mountaineer ${named === null ? "" : `${named} `}--help shows what there is`;
  if (error.code === "commander.unknownCommand") hint = unknownHint(args);
  else {
    const suggestion = /^\(Did you mean (?:one of )?(.+)\?\)$/.exec(more.join(" ").trim());
    const longer = /^unknown option '--thunderbolt-(\w+)/.exec(first)?.[1];
    const missing = /^required option '(--(?:share|name)) /.exec(first)?.[1];
    if (suggestion?.[1] !== undefined) hint = `did you mean ${suggestion[1]}?`;
    else if (longer !== undefined) hint = `did you mean --tb-${longer}?`;
    else if (missing !== undefined && named !== null)
      hint = `mountaineer ${named} ${missing} ${operand(args, named)}`;
    else if (error.code === "commander.excessArguments" && SHARE_COMMANDS.includes(named ?? ""))
      hint = "a share is named with --share NAME";
    else if (error.code === "commander.unknownOption" && /^backends (?:add|edit)$/.test(named ?? ""))
      hint = `the program and its arguments stand behind --: mountaineer ${named} NAME -- PROGRAM ARGUMENTS`;
  }
  return new MountaineerError("usage", first, { hint, cause: error });
}

/** What was given without its option's name. */
function operand(args: readonly string[], named: string): string {
  const given = plainWords(args)[named.split(" ").length];
  return given === undefined ? "NAME" : shellWord(given);
}

/** What to type instead of a command that there is not: `args` name it, perhaps after its group. */
function unknownHint(args: readonly string[]): string {
  const words = plainWords(args);
  const named = COMMAND_GROUPS.filter(({ name, alias }) => {
    return words[0] === alias || name.split(" ").every((part, index) => part === words[index]);
  });
  // The innermost follows those around it.
  const group = named.at(-1)?.name ?? "";
  const depth = group === "" ? 0 : group.split(" ").length;
  const word = words[depth] ?? "";
  const meant = meantBy(group, word);
  if (meant !== null) return meant;
  const own = (name: string): boolean =>
    name.split(" ").length === depth + 1 && (group === "" || name.startsWith(`${group} `));
  const known = [...COMMANDS, ...COMMAND_GROUPS].map(({ name }) => name).filter(own);
  const close = closestWord(
    word,
    known.map((name) => name.split(" ").at(-1) ?? ""),
  );
  if (close !== null) return `did you mean ${close}?`;
  return `mountaineer ${group === "" ? "" : `${group} `}--help shows what there is`;
}

/** commander shows the whole help for a command that there is not. */
function refuseUnknownHelp(args: readonly string[]): void {
  const asks = args.includes("--help") || args.includes("-h");
  const words = plainWords(args);
  if (!asks && words[0] !== "help") return;
  const [word] = words[0] === "help" ? words.slice(1) : words;
  if (word === undefined || word === "help" || isKnown(word)) return;
  throw new MountaineerError("usage", `unknown command '${word}'`, { hint: unknownHint([word]) });
}

function isKnown(word: string): boolean {
  return (
    COMMANDS.some(({ name }) => name.split(" ")[0] === word) ||
    COMMAND_GROUPS.some(({ alias }) => alias === word)
  );
}

/** The command, else the group, whose words the arguments begin with. */
function namedIn(args: readonly string[]): string | null {
  const typed = `${plainWords(args).join(" ")} `;
  const known = [
    ...COMMANDS.map(({ name }) => name),
    ...COMMAND_GROUPS.flatMap(({ name, alias }) => (alias === undefined ? [name] : [name, alias])),
  ].filter((name) => typed.startsWith(`${name} `));
  return known.toSorted((left, right) => right.length - left.length)[0] ?? null;
}
