// The reference of the command line, made from the same definitions as --help: docs/reference/cli.md, a page for each command in
// docs/reference/cli/, and the same as man pages.
import type { Argument, Command, Option } from "commander";
import type { CommandDefinition } from "../../src/cli/input/command.ts";
import { COMMAND_GROUPS, COMMANDS, SECTIONS } from "../../src/cli/program/command-list.ts";
import { commandOf, createProgram } from "../../src/cli/program/program.ts";
import { ERROR_MEANINGS } from "../../src/runtime/error-meanings.ts";
import { ERROR_CODES, type ErrorCode } from "../../src/runtime/errors.ts";
import type { DocumentGenerator } from "./generator.ts";

const FOLDER = "docs/reference";

/** Texts may have `code` and links. */
type Block =
  | { readonly kind: "heading" | "text"; readonly text: string }
  /** How a command is typed. */
  | { readonly kind: "usage"; readonly lines: readonly string[] }
  /** Lines that run, each with what it does. */
  | { readonly kind: "examples"; readonly items: readonly Item[] }
  | { readonly kind: "items"; readonly items: readonly Item[] }
  /** The last cell explains the others. */
  | { readonly kind: "rows"; readonly rows: readonly (readonly string[])[] };
type Item = readonly [term: string, text: string];

interface Page {
  /** "mountaineer secret". */
  readonly title: string;
  readonly summary: string;
  readonly synopsis: readonly string[];
  readonly blocks: readonly Block[];
}

interface Entry {
  readonly definition: CommandDefinition;
  readonly command: Command;
}

/** What so many commands have in the same words is explained once, in the index. */
const COMMON_OPTIONS_FROM = 5;
const COMMON_EXITS_FROM = 3;

/** All pages, each as Markdown and as a man page. */
export function commandLinePages(): readonly DocumentGenerator[] {
  const program = createProgram({ print: () => {}, complain: () => {} }, async () => {});
  const entries = COMMANDS.flatMap((definition) => {
    const command = commandOf(program, definition);
    return command === null ? [] : [{ definition, command }];
  });
  const common = commonOptions(entries.flatMap(({ command }) => command.options));
  const commands = [...Map.groupBy(entries, ({ definition }) => firstWord(definition))].map(
    ([word, own]) => ({
      word,
      page: commandPage(word, own, common),
    }),
  );
  const index = indexPage(program, commands, [...program.options, ...common.values()]);
  return [
    ...both(index, "cli", "mountaineer"),
    ...commands.flatMap(({ word, page }) => both(page, `cli/${word}`, `mountaineer-${word}`)),
  ];
}

function both(page: Page, file: string, manual: string): DocumentGenerator[] {
  return [
    { path: `${FOLDER}/${file}.md`, generate: () => asMarkdown(page) },
    { path: `${FOLDER}/man/${manual}.1`, generate: () => asManual(page, manual) },
  ];
}

function firstWord({ name }: Pick<CommandDefinition, "name">): string {
  return name.split(" ")[0] ?? name;
}

/** By flags and meaning: what an option is to a reader. */
function keyOf({ flags, description }: Option): string {
  return `${flags}: ${description}`;
}

function commonOptions(options: readonly Option[]): ReadonlyMap<string, Option> {
  const alike = Map.groupBy(options, keyOf);
  const common = new Map<string, Option>();
  for (const [key, [option, ...others]] of alike) {
    if (option !== undefined && others.length + 1 >= COMMON_OPTIONS_FROM) common.set(key, option);
  }
  return common;
}

/** The index has a meaning for each code. */
function isCommonExit([exit, means]: Item): boolean {
  const alike = COMMANDS.filter(({ exits }) => Object(exits)[exit] === means);
  return alike.length >= COMMON_EXITS_FROM;
}

function commandPage(word: string, entries: readonly Entry[], common: ReadonlyMap<string, Option>): Page {
  const title = `mountaineer ${word}`;
  const group = COMMAND_GROUPS.find(({ name }) => name === word);
  const explained = new Set(common.keys());
  const blocks = entries.flatMap((entry): Block[] => [
    ...(group === undefined ? [] : [heading(`mountaineer ${entry.definition.name}`)]),
    ...commandBlocks(entry, explained),
  ]);
  const synopsis = entries.map(synopsisOf);
  if (group === undefined) return { title, summary: entries[0]?.definition.summary ?? "", synopsis, blocks };
  const { summary, description } = group;
  return { title, summary, synopsis, blocks: [text(description), ...blocks] };
}

/** Adds the arguments and options that it explains to `explained`: a page explains each once. */
function commandBlocks(entry: Entry, explained: Set<string>): Block[] {
  const { definition, command } = entry;
  const own = command.options.filter((option) => !explained.has(keyOf(option)));
  const shared = command.options.filter((option) => explained.has(keyOf(option)));
  const also = shared
    .filter(({ long }) => long !== "--token-file")
    .map(({ long, flags }) => `\`${long ?? flags}\``)
    .join(", ");
  for (const option of own) explained.add(keyOf(option));
  const words = command.registeredArguments.map(argumentItem).filter((item) => !explained.has(item.join()));
  for (const word of words) explained.add(word.join());
  const items = [...words, ...own.map(optionItem)];
  const exits = Object.entries(definition.exits).filter((exit) => exit[0] !== "0" && !isCommonExit(exit));
  return [
    ...command.description().split("\n\n").map(text),
    { kind: "examples", items: Object.entries(definition.examples) },
    ...(hasPlaces(command) ? [{ kind: "usage", lines: [synopsisOf(entry)] } as const] : []),
    ...(items.length === 0 ? [] : [{ kind: "items", items } as const]),
    ...(also === "" ? [] : [text(`Also: ${also}.`)]),
    ...(exits.length === 0 ? [] : [text("Exit codes:"), { kind: "items", items: exits } as const]),
  ];
}

/** Whether something has its place in the line; options may stand anywhere. */
function hasPlaces({ registeredArguments, options }: Command): boolean {
  return registeredArguments.length > 0 || options.some(({ mandatory }) => mandatory);
}

/** Options that it needs are named. */
function synopsisOf({ definition, command }: Entry): string {
  const needed = command.options.filter(({ mandatory }) => mandatory).map(({ flags }) => flags);
  const options = command.options.length > needed.length ? ["[options]"] : [];
  const words = command.registeredArguments.map(argumentText);
  return ["mountaineer", definition.name, ...needed, ...options, ...words].join(" ");
}

function argumentText(argument: Argument): string {
  const word = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${word}>` : `[${word}]`;
}

function argumentItem(argument: Argument): Item {
  return [argumentText(argument), argument.description];
}

function optionItem({ flags, description, argChoices, mandatory }: Option): Item {
  const choices =
    argChoices === undefined ? "" : `; one of ${argChoices.map((choice) => `\`${choice}\``).join(", ")}`;
  return [flags, `${description}${choices}${mandatory ? "; required" : ""}`];
}

function indexPage(
  program: Command,
  commands: readonly { readonly word: string; readonly page: Page }[],
  options: readonly Option[],
): Page {
  const lists = SECTIONS.flatMap(({ heading: name, entries }): Block[] => {
    const words = new Set(entries.map((entry) => firstWord("group" in entry ? entry.group : entry)));
    const rows = commands
      .filter(({ word }) => words.has(word))
      .map(({ word, page }) => [`[\`${word}\`](cli/${word}.md)`, page.summary]);
    return [heading(name.replace(/:$/, "")), { kind: "rows", rows }];
  });
  return {
    title: "mountaineer",
    summary: program.description(),
    synopsis: ["mountaineer [--config FILE] <command> [options]"],
    blocks: [
      text(
        "Results go to stdout, everything else to stderr. Commands ask the running daemon. Without one, they do it themselves: " +
          "`tools list` and `call` start the servers that they need, `mcp` all.",
      ),
      ...lists,
      heading("Common options"),
      text("The first two go with any command, the others with those that name them."),
      { kind: "items", items: options.map(optionItem) },
      ...exitCodes(),
      ...environment(),
    ],
  };
}

const SIGNAL_EXITS: readonly (readonly [number, string])[] = [
  [130, "ended by Ctrl-C (SIGINT) before it was done"],
  [143, "ended by SIGTERM before it was done"],
];

function exitCodes(): Block[] {
  const rows = [
    ["0", "", "success"],
    ...Object.entries(ERROR_MEANINGS)
      .map(([name, means]) => ({ name, means, exit: ERROR_CODES[name as ErrorCode].exit }))
      .sort((left, right) => left.exit - right.exit)
      .map(({ name, means, exit }) => [String(exit), `\`${name}\``, means]),
    ...SIGNAL_EXITS.map(([exit, means]) => [String(exit), "", means]),
  ];
  return [
    heading("Exit codes"),
    text(
      "Codes stay the same from version to version. Of several shares the worst decides: failed (1), busy (7), fine (0). " +
        "A share that waits for files to close (`pending`) is busy, except for `reconcile`.",
    ),
    { kind: "rows", rows },
  ];
}

function environment(): Block[] {
  const rows: readonly (readonly [string, string])[] = [
    ["MOUNTAINEER_HOME", "Mountaineer's own folder; `~/.mountaineer` without it"],
    ["MOUNTAINEER_LOG", "`debug` logs more, and prints stacks with errors"],
    [
      "HTTPS_PROXY, HTTP_PROXY, NO_PROXY",
      "in the daemon's environment: the [web proxy](gateway-rules.md#web-proxies-and-certificates) for servers at addresses",
    ],
    ["NO_COLOR, FORCE_COLOR", "anything: never colour; always colour"],
    ["COLUMNS", "width of the output without a terminal; 80 without it"],
  ];
  const named = rows.map(([name, means]) => [`\`${name}\``, means]);
  return [heading("Environment"), { kind: "rows", rows: named }];
}

function heading(name: string): Block {
  return { kind: "heading", text: name };
}

function text(paragraph: string): Block {
  return { kind: "text", text: paragraph };
}

function asMarkdown({ title, summary, synopsis, blocks }: Page): string {
  const isIndex = title === "mountaineer";
  const start = [text(summary), { kind: "usage", lines: synopsis } as const];
  return [
    isIndex ? "# The command line" : `# ${title}`,
    "<!-- npm run docs -->",
    ...[...(isIndex ? start : []), ...blocks].map(blockMarkdown),
    ...(isIndex ? [] : ["[Common options](../cli.md#common-options)"]),
  ]
    .join("\n\n")
    .concat("\n");
}

function blockMarkdown(block: Block): string {
  switch (block.kind) {
    case "heading":
      return `## ${block.text}`;
    case "text":
      return block.text;
    case "usage":
      return ["```", ...block.lines, "```"].join("\n");
    case "examples":
      return ["```sh", ...block.items.flatMap(([line, does]) => [`# ${does}`, line]), "```"].join("\n");
    case "items":
      return block.items.map(([term, means]) => `- \`${term}\`: ${means}`).join("\n");
    case "rows":
      return block.rows.map((cells) => `- ${termOf(cells)}: ${cells.at(-1)}`).join("\n");
  }
}

/** For man(7). */
function asManual({ title, summary, synopsis, blocks }: Page, manual: string): string {
  const also = manual === "mountaineer" ? ".BR mountaineer\\-init (1)" : ".BR mountaineer (1)";
  const others = blocks.filter(({ kind }) => kind !== "usage" || synopsis.length > 1);
  return [
    ".\\\" Generated by `npm run docs` from the commands' definitions.",
    `.TH ${roff(manual).toUpperCase()} 1 "" Mountaineer "Mountaineer manual"`,
    ".SH NAME",
    `${roff(manual)} \\- ${roff(summary)}`,
    ".SH SYNOPSIS",
    ...synopsis.flatMap((line) => [`.B ${roff(line)}`, ".br"]),
    ".SH DESCRIPTION",
    ...(title === "mountaineer" ? [roff(summary)] : []),
    ...others.flatMap(blockRoff),
    ".SH SEE ALSO",
    also,
    "",
  ].join("\n");
}

function blockRoff(block: Block): string[] {
  switch (block.kind) {
    case "heading":
      return [`.SH ${/^mountaineer /.test(block.text) ? roff(block.text) : roff(block.text).toUpperCase()}`];
    case "text":
      return [".PP", roff(block.text)];
    case "usage":
      return block.lines.flatMap((line) => [".PP", `.B ${roff(line)}`]);
    case "examples":
      return [".PP", "Examples:", ...block.items.flatMap(([line, does]) => tagged(line, does))];
    case "items":
      return block.items.flatMap(([term, means]) => tagged(term, means));
    case "rows":
      return block.rows.flatMap((cells) => tagged(termOf(cells), cells.at(-1) ?? ""));
  }
}

function termOf(cells: readonly string[]): string {
  return cells.slice(0, -1).filter(Boolean).join(" ");
}

function tagged(term: string, means: string): string[] {
  return [".TP", `.B ${roff(term)}`, roff(means)];
}

const ROFF: Readonly<Record<string, string>> = {
  "\\": "\\e",
  "-": "\\-",
  '"': "\\(dq",
  "'": "\\(aq",
  "~": "\\(ti",
  "^": "\\(ha",
  "\n": " ",
};

/** One line: links as their text, `code` in bold. */
function roff(markdown: string): string {
  return markdown
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[\\\-"'~^\n]/g, (letter) => ROFF[letter] ?? letter)
    .replace(/`([^`]*)`/g, "\\fB$1\\fR")
    .replace(/^\./, "\\&.");
}
