// Finds the command of an unfinished line, and the option or argument to complete. Uses the definitions of --help. Pure.
import type { Command, Option } from "commander";
import type { CommandDefinition, LiveKind, Parameters } from "../input/command.ts";

export interface Candidate {
  readonly value: string;
  readonly description: string;
}

export type CompletionRequest =
  | { readonly kind: "words"; readonly candidates: readonly Candidate[] }
  | {
      readonly kind: "live";
      readonly live: LiveKind;
      readonly without: readonly string[];
      /** The text before the name in the typed word, such as `--share=`. */
      readonly prefix?: string;
    }
  | { readonly kind: "files" }
  | { readonly kind: "nothing" };

/** Commands whose arguments are either fixed words or files. */
const WORDS_OR_FILES: readonly string[] = ["import"];
const SHARE = "--share";
const FILES = /^(file|path|folder|dir|plugin)$/;

/** `words` follow the program's name; the last word is being typed, and is "" after a blank. */
export function completionRequest(
  program: Command,
  definitions: readonly Pick<CommandDefinition, "name" | "takes">[],
  words: readonly string[],
): CompletionRequest {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  let command = program;
  const names: string[] = [];
  const given: string[] = [];
  const used = new Set<string>();
  let awaited: Option | null = null;
  let onlyArguments = false;
  for (const word of before) {
    if (awaited !== null) awaited = null;
    else if (!onlyArguments && word === "--") onlyArguments = true;
    else if (!onlyArguments && word.startsWith("-") && word !== "-") {
      const [name = ""] = word.split("=");
      const option = optionNamed(program, command, name);
      if (option?.long != null) used.add(option.long);
      if (option !== null && takesValue(option) && !word.includes("=")) awaited = option;
    } else {
      const inner: Command | undefined =
        given.length === 0
          ? command.commands.find((one) => one.name() === word || one.aliases().includes(word))
          : undefined;
      if (inner === undefined) given.push(word);
      else {
        command = inner;
        names.push(inner.name());
      }
    }
  }
  const where = names.join(" ");
  const takes = definitions.find(({ name }) => name === where)?.takes ?? {};
  if (awaited !== null) return ofOption(awaited, takes);
  const assigned = /^(--[a-z-]+)=/.exec(current)?.[1];
  if (!onlyArguments && assigned !== undefined) {
    const option = optionNamed(program, command, assigned);
    return option === null ? { kind: "nothing" } : withPrefix(ofOption(option, takes), `${assigned}=`);
  }
  if (!onlyArguments && current.startsWith("-")) return optionsOf(program, command, used);
  if (command.commands.length > 0 && given.length === 0) {
    const help = command === program ? [{ value: "help", description: "show help for a command" }] : [];
    return { kind: "words", candidates: [...commandsOf(command), ...help] };
  }
  if (command === program && given[0] === "help") return { kind: "words", candidates: commandsOf(program) };
  return ofArgument(command, given, takes, WORDS_OR_FILES.includes(where) ? current : null);
}

function commandsOf({ commands }: Command): Candidate[] {
  return commands.map((one) => ({ value: one.name(), description: one.summary() }));
}

function ofOption(option: Option, takes: Parameters): CompletionRequest {
  if (option.argChoices !== undefined) return { kind: "words", candidates: choices(option.argChoices) };
  const live = liveKind(takes, option.flags);
  if (live !== null) return { kind: "live", live, without: [] };
  const name = /[<[]([a-z-]+)/.exec(option.flags)?.[1] ?? "";
  return FILES.test(name) ? { kind: "files" } : { kind: "nothing" };
}

function ofArgument(
  command: Command,
  given: readonly string[],
  takes: Parameters,
  wordOrFile: string | null,
): CompletionRequest {
  const declared = command.registeredArguments;
  const last = declared.length - 1;
  const at = given.length > last && declared[last]?.variadic === true ? last : given.length;
  const argument = declared[at];
  if (argument === undefined) return { kind: "nothing" };
  if (argument.argChoices !== undefined) {
    const isFile =
      wordOrFile !== null && !argument.argChoices.some((choice) => choice.startsWith(wordOrFile));
    return isFile ? { kind: "files" } : { kind: "words", candidates: choices(argument.argChoices) };
  }
  const live = liveKind(takes, Object.keys(takes).filter((words) => /^[<[]/.test(words))[at] ?? "");
  if (live !== null) return { kind: "live", live, without: given };
  return FILES.test(argument.name()) ? { kind: "files" } : { kind: "nothing" };
}

/**
 * The kind of names that completes an argument or option; null: none. `words`: the key of the argument or option in
 * `takes`.
 */
function liveKind(takes: Parameters, words: string): LiveKind | null {
  const taken = takes[words];
  return typeof taken === "object" ? (taken.completes ?? null) : null;
}

function withPrefix(request: CompletionRequest, prefix: string): CompletionRequest {
  if (request.kind === "live") return { ...request, prefix };
  if (request.kind !== "words") return request;
  return {
    kind: "words",
    candidates: request.candidates.map((one) => ({ ...one, value: `${prefix}${one.value}` })),
  };
}

function optionsOf(program: Command, command: Command, used: ReadonlySet<string>): CompletionRequest {
  const all = [...command.options, ...(command === program ? [] : program.options)];
  const candidates = all.flatMap(({ long, description, hidden }) => {
    // --share may be repeated; commands that take one share refuse a second.
    const isDone = long == null || (used.has(long) && long !== SHARE);
    return hidden || isDone ? [] : [{ value: long, description }];
  });
  return { kind: "words", candidates: [...candidates, { value: "--help", description: "show help" }] };
}

function optionNamed(program: Command, command: Command, name: string): Option | null {
  const all = [...command.options, ...program.options];
  return all.find(({ long, short }) => long === name || short === name) ?? null;
}

function takesValue({ required, optional }: Option): boolean {
  return required || optional;
}

function choices(values: readonly string[]): Candidate[] {
  return values.map((value) => ({ value, description: "" }));
}
