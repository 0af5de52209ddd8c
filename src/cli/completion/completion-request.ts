// Finds out what a command line completes: which command, and which of its options or arguments. Uses the same
// definitions as --help. Pure.
import type { Argument, Command, Option } from "commander";

/** Names that are looked up when they are asked for. */
export type LiveKind =
  | "shares"
  | "aliases"
  | "backends"
  | "tools"
  | "changed-tools"
  | "off-tools"
  | "secrets"
  | "keys"
  | "folders"
  | "routes";

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
      /** The share that the line names; null: none yet. */
      readonly share: string | null;
      /** The backend whose routes are wanted. */
      readonly backend?: string;
      /** The part of the word before the name: `--share=`. */
      readonly prefix?: string;
    }
  | { readonly kind: "files" }
  | { readonly kind: "nothing" };

/** By an option's long name, or by an argument's name; with a command's words in front if it differs there. */
const LIVE_OPTIONS: Readonly<Record<string, LiveKind | null>> = {
  "--share": "shares",
  // A new name cannot be completed.
  "shares add --share": null,
  "init --share": null,
  "init --backend": null,
  "alias remove --name": "aliases",
  "--subpath": "folders",
  "--target-subpath": "folders",
  "tools approve --backend": "backends",
  "switch --backend": "backends",
};
const LIVE_ARGUMENTS: Readonly<Record<string, LiveKind>> = {
  "backends edit": "backends",
  "backends remove": "backends",
  "backends enable": "backends",
  "backends disable": "backends",
  "backends restart": "backends",
  "backends logs": "backends",
  "backends login": "backends",
  "backends logout": "backends",
  "tools diff": "changed-tools",
  "tools approve": "changed-tools",
  "tools disable": "tools",
  "tools enable": "off-tools",
  call: "tools",
  "secret set": "secrets",
  "secret remove": "secrets",
  "config get": "keys",
  "config set": "keys",
  "config unset": "keys",
};
/** Their arguments are one of several words, or a file. */
const WORDS_OR_FILES: readonly string[] = ["import"];
const SHARE = "--share";
const BACKEND = "--backend";
const FILES = /^(file|path|folder|dir|plugin)$/;

/** `words` are those after the program's name; the last one is being typed, "" where none has begun. */
export function completionRequest(program: Command, words: readonly string[]): CompletionRequest {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  let command = program;
  const names: string[] = [];
  const given: string[] = [];
  const used = new Set<string>();
  let share: string | null = null;
  let backend: string | null = null;
  let awaited: Option | null = null;
  let onlyArguments = false;
  for (const word of before) {
    if (awaited !== null) {
      if (awaited.long === SHARE) share = word;
      if (awaited.long === BACKEND) backend = word;
      awaited = null;
    } else if (!onlyArguments && word === "--") onlyArguments = true;
    else if (!onlyArguments && word.startsWith("-") && word !== "-") {
      const [name = ""] = word.split("=");
      const option = optionNamed(program, command, name);
      if (option?.long != null) used.add(option.long);
      if (option?.long === SHARE && word.includes("=")) share = word.slice(name.length + 1);
      if (option?.long === BACKEND && word.includes("=")) backend = word.slice(name.length + 1);
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
  const named = { share, backend };
  if (awaited !== null) return ofOption(awaited, where, named);
  const assigned = /^(--[a-z-]+)=/.exec(current)?.[1];
  if (!onlyArguments && assigned !== undefined) {
    const option = optionNamed(program, command, assigned);
    return option === null ? { kind: "nothing" } : withPrefix(ofOption(option, where, named), `${assigned}=`);
  }
  if (!onlyArguments && current.startsWith("-")) return optionsOf(program, command, used);
  if (command.commands.length > 0 && given.length === 0) {
    const visible = command.commands.map((one) => ({ value: one.name(), description: one.summary() }));
    const help = command === program ? [{ value: "help", description: "show help for a command" }] : [];
    return { kind: "words", candidates: [...visible, ...help] };
  }
  if (command === program && given[0] === "help") {
    return {
      kind: "words",
      candidates: program.commands.map((one) => ({ value: one.name(), description: one.summary() })),
    };
  }
  return ofArgument(command, given, where, current);
}

/** What the line names so far. */
interface Named {
  readonly share: string | null;
  readonly backend: string | null;
}

function ofOption(option: Option, where: string, { share, backend }: Named): CompletionRequest {
  if (where === "switch" && option.long === "--to" && backend !== null) {
    return { kind: "live", live: "routes", without: [], share, backend };
  }
  if (option.argChoices !== undefined) return { kind: "words", candidates: choices(option.argChoices) };
  const ofCommand = LIVE_OPTIONS[`${where} ${option.long}`];
  const live = ofCommand === undefined ? LIVE_OPTIONS[option.long ?? ""] : ofCommand;
  if (live != null) return { kind: "live", live, without: [], share };
  const name = /[<[]([a-z-]+)/.exec(option.flags)?.[1] ?? "";
  return FILES.test(name) ? { kind: "files" } : { kind: "nothing" };
}

function ofArgument(
  command: Command,
  given: readonly string[],
  where: string,
  current: string,
): CompletionRequest {
  const declared = command.registeredArguments;
  const last = declared.at(-1);
  const argument: Argument | undefined =
    declared[given.length] ?? (last?.variadic === true ? last : undefined);
  if (argument === undefined) return { kind: "nothing" };
  if (argument.argChoices !== undefined) {
    const isFile =
      WORDS_OR_FILES.includes(where) && !argument.argChoices.some((choice) => choice.startsWith(current));
    return isFile ? { kind: "files" } : { kind: "words", candidates: choices(argument.argChoices) };
  }
  const live = LIVE_ARGUMENTS[where];
  if (live !== undefined && (given.length === 0 || argument.variadic)) {
    return { kind: "live", live, without: given, share: null };
  }
  return FILES.test(argument.name()) ? { kind: "files" } : { kind: "nothing" };
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
    // --share may be given again, and what is repeated by mistake is refused anyway.
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
