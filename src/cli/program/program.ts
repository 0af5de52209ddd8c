// Builds the commander program from the command list, runs it, and turns its errors into hints.
import { Argument, Command, CommanderError, Help, InvalidArgumentError } from "commander";
import { ERROR_CODES, MountaineerError } from "../../runtime/errors.ts";
import { shellWord } from "../../runtime/text/plain-text.ts";
import { closestWord } from "../../runtime/text/suggest.ts";
import { packageVersion } from "../../runtime/version.ts";
import type {
  CommandDefinition,
  CommandGroup,
  Examples,
  MakeContext,
  Parameters,
  ParsedParameter,
} from "../input/command.ts";
import { SHARE_OPTIONS } from "../input/options.ts";
import { plainWords, suggestCommand } from "../input/suggest-command.ts";
import { COMMAND_GROUPS, COMMANDS, SECTIONS } from "./command-list.ts";

export interface ProgramOptions {
  readonly makeContext: MakeContext;
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
}

const SUMMARY =
  "Keeps your NAS shares mounted at one path while cables come and go, and serves all your MCP servers from one endpoint.";
const SHARES = "--share <name>";
/** Minimum width, in columns, at which the help shows descriptions beside the names. */
const WIDE = 60;
const NARROWEST = 20;
const BELOW = "      ";
const FIRST_EXAMPLES: Examples = {
  "mountaineer up": "keep shares and gateway up, in the background",
  "mountaineer status": "see how things are",
};

/** Runs the command that `typed` names, and resolves with its exit code. Rejects with `usage` for errors in `typed`, and as the command does. */
export async function parseAndRun(typed: readonly string[], options: ProgramOptions): Promise<number> {
  let exitCode = 0;
  refuseUnknownHelp(typed);
  const [first, ...named] = typed;
  // Commander's own help command only reads the first name of `help secret set`.
  const isHelp = first === "help" && COMMAND_NAMES.includes(named.join(" "));
  const args = isHelp ? [...named, "--help"] : typed;
  const program = createProgram(options, async (definition, command) => {
    const { config, ...given } = command.optsWithGlobals<Record<string, unknown>>();
    const context = await options.makeContext(
      typeof config === "string" ? config : null,
      definition.refusesRoot,
    );
    exitCode = await definition.run(context, given, command.processedArgs);
  });
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    // The arguments name a group without a command: commander has printed the help.
    if (error.code === "commander.help") return ERROR_CODES.usage.exit;
    throw usageError(error, args);
  }
  return exitCode;
}

/** The commander program; commander calls `act` with the chosen command. */
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
      // Not those of a command that others are below: they are not theirs.
      visibleGlobalOptions: (command) => (command === program ? [] : [...program.options]),
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
        const group = "run" in entry.group ? add(program, entry.group) : addGroup(program, entry.group);
        if (!entry.group.name.includes(" ")) group.helpGroup(heading);
        for (const definition of entry.commands) add(group, definition);
      } else add(program, entry).helpGroup(heading);
    }
  }
  return program;
}

export function addTaken(command: Command, takes: Parameters): void {
  for (const [term, declared] of Object.entries(takes)) {
    const taken: ParsedParameter = typeof declared === "string" ? { about: declared } : declared;
    const { about, choices, isOpen, isRequired, conflicts, implies } = taken;
    const isArgument = /^[<[]/.test(term);
    const one = isArgument ? command.createArgument(term, about) : command.createOption(term, about);
    if (choices !== undefined) one.choices(choices);
    if (isOpen === true || taken.read !== undefined || taken.isList === true)
      one.argParser(readerOf(term, taken));
    if (one instanceof Argument) command.addArgument(one);
    else {
      one.makeOptionMandatory(isRequired === true).conflicts([...(conflicts ?? [])]);
      command.addOption(one.implies({ ...implies }));
    }
  }
}

/** `before`: the earlier values of a list. */
function readerOf(
  term: string,
  { read = (text) => text, expected = "", isList = term.includes("...") }: ParsedParameter,
) {
  return (text: string, before: unknown): unknown => {
    const value = read(text);
    if (value === null) throw new InvalidArgumentError(`It is ${expected}.`);
    return isList ? [...(Array.isArray(before) ? before : []), value] : value;
  };
}

/** One entry of a help list; in a narrow terminal the description goes below the term. */
function itemOf(this: Help, term: string, termWidth: number, description: string, helper: Help): string {
  const width = this.helpWidth ?? WIDE;
  if (width >= WIDE || description === "") {
    return Help.prototype.formatItem.call(this, term, termWidth, description, helper);
  }
  const below = helper.boxWrap(description, width - BELOW.length);
  return [`  ${term}`, ...below.split("\n").map((line) => `${BELOW}${line}`)].join("\n");
}

function termOf(command: Command): string {
  const terms = command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
  return [command.name(), ...(command.options.length > 0 ? ["[options]"] : []), ...terms].join(" ");
}

/**
 * Adds a group, below its outer group if it has one. The command list contains outer groups first, so the
 * outer group exists already.
 */
function addGroup(program: Command, { name, alias, summary, description, examples }: CommandGroup): Command {
  const parts = name.split(" ");
  const parent = commandOf(program, { name: parts.slice(0, -1).join(" ") }) ?? program;
  const group = parent.command(parts.at(-1) ?? "");
  group.summary(summary).description(`${capitalised(summary)}.\n\n${description}`);
  group.addHelpText("after", () => examplesText(examples));
  if (alias !== undefined) group.alias(alias);
  return group;
}

export function commandOf(program: Command, { name }: Pick<CommandDefinition, "name">): Command | null {
  let found: Command | null = program;
  for (const part of name.split(" ")) found = found?.commands.find((each) => each.name() === part) ?? null;
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
  const hint =
    error.code === "commander.unknownCommand"
      ? unknownHint(args)
      : (optionHint(error.code, first, more.join(" ").trim(), named, args) ?? helpHint(named));
  return new MountaineerError("usage", first, { hint, cause: error });
}

function helpHint(named: string | null): string {
  return `mountaineer ${named === null ? "" : `${named} `}--help shows what there is`;
}

/** The hint for a wrong option or argument; null if there is none. `named`: the command that was called. */
function optionHint(
  code: string,
  message: string,
  suggestion: string,
  named: string | null,
  args: readonly string[],
): string | null {
  const suggested = /^\(Did you mean (?:one of )?(.+)\?\)$/.exec(suggestion)?.[1];
  if (suggested !== undefined) return `did you mean ${suggested}?`;
  const tail = /^unknown option '--thunderbolt-(\w+)/.exec(message)?.[1];
  if (tail !== undefined) return `did you mean --tb-${tail}?`;
  if (named === null) return null;
  const missing = /^required option '(--(?:share|name)) /.exec(message)?.[1];
  if (missing !== undefined) {
    // The person probably typed the name without its option.
    const given = plainWords(args)[named.split(" ").length];
    return `mountaineer ${named} ${missing} ${given === undefined ? "NAME" : shellWord(given)}`;
  }
  const takes: Parameters = COMMANDS.find(({ name }) => name === named)?.takes ?? {};
  const [, term = "", option = ""] = /^required option '((--\S+) [^']+)'/.exec(message) ?? [];
  const declared = takes[term];
  const choices = typeof declared === "object" ? declared.choices : undefined;
  const value = args.find((arg) => choices?.includes(arg));
  if (value !== undefined) {
    // The person probably typed the value without its option.
    const whole = args.flatMap((arg) => (arg === value ? [option, arg] : [arg]));
    return `mountaineer ${whole.map(shellWord).join(" ")}`;
  }
  if (code === "commander.excessArguments" && takes[SHARES] === SHARE_OPTIONS[SHARES])
    return "a share is named with --share NAME";
  if (code === "commander.unknownOption" && /^backends (?:add|edit)$/.test(named))
    return `the program and its arguments come after --: mountaineer ${named} NAME -- PROGRAM ARGUMENTS`;
  return null;
}

/** The hint for an unknown command in `args`. The command may follow the name of a group. */
function unknownHint(args: readonly string[]): string {
  const plain = plainWords(args);
  const named = COMMAND_GROUPS.filter(({ name, alias }) => {
    return plain[0] === alias || name.split(" ").every((part, index) => part === plain[index]);
  });
  // An inner group follows its outer group in the list.
  const group = named.at(-1)?.name ?? "";
  const depth = group === "" ? 0 : group.split(" ").length;
  const part = plain[depth] ?? "";
  const meant = suggestCommand(group, part);
  if (meant !== null) return meant;
  const own = (name: string): boolean =>
    name.split(" ").length === depth + 1 && (group === "" || name.startsWith(`${group} `));
  const known = [...COMMANDS, ...COMMAND_GROUPS].map(({ name }) => name).filter(own);
  const close = closestWord(
    part,
    known.map((name) => name.split(" ").at(-1) ?? ""),
  );
  if (close !== null) return `did you mean ${close}?`;
  return helpHint(group === "" ? null : group);
}

/** Rejects help for an unknown command, for which commander would show the whole help. */
function refuseUnknownHelp(args: readonly string[]): void {
  const wantsHelp = args.includes("--help") || args.includes("-h");
  const plain = plainWords(args);
  if (!wantsHelp && plain[0] !== "help") return;
  const [part] = plain[0] === "help" ? plain.slice(1) : plain;
  if (part === undefined || part === "help" || COMMAND_NAMES.some((name) => name.split(" ")[0] === part))
    return;
  throw new MountaineerError("usage", `unknown command '${part}'`, { hint: unknownHint([part]) });
}

const COMMAND_NAMES: readonly string[] = [
  ...COMMANDS.map(({ name }) => name),
  ...COMMAND_GROUPS.flatMap(({ name, alias }) => (alias === undefined ? [name] : [name, alias])),
];

/** The longest name of a command or group with which the arguments begin. */
function namedIn(args: readonly string[]): string | null {
  const typed = `${plainWords(args).join(" ")} `;
  const known = COMMAND_NAMES.filter((name) => typed.startsWith(`${name} `));
  return known.toSorted((left, right) => right.length - left.length)[0] ?? null;
}
