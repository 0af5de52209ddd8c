// The definition of a command: its words, what it takes, and the function that runs it.
import type { Readable } from "node:stream";
import type { ReadStream } from "node:tty";
import type { TerminalStyle } from "../views/terminal-style.ts";

/** What each does, by the command line. */
export type Examples = Readonly<Record<string, string>>;

/** What is piped in, or a terminal. */
export type StandardInput = Readable & Partial<Pick<ReadStream, "isTTY" | "setRawMode">>;

export interface CommandContext {
  /** Mountaineer's own folder, absolute. */
  readonly home: string;
  /** The command's full name, such as "config get"; noted with every lock that the command takes. */
  readonly command: string;
  /** What `--config` names, absolute; null when it is not given. */
  readonly configPath: string | null;
  /** The result is printed as JSON. */
  readonly json: boolean;
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

interface Described {
  /** Its words: "mount"; of one in a group, "config get". */
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** What else there is to know. */
  readonly description: string;
  readonly examples: Examples;
}

/** Commands that share their first word. */
export interface CommandGroup extends Described {
  /** Another word for it, which help does not show. */
  readonly alias?: string;
}

/** An argument or an option: what it is, and what it is read as. */
export interface Taken {
  readonly about: string;
  readonly choices?: readonly string[];
  /** The choices are offered, and anything else is taken as well. */
  readonly isOpen?: boolean;
  /** It may be given again. */
  readonly isList?: boolean;
  readonly isRequired?: boolean;
  /** null: it is not `expected`. Without it a text is taken as it is. */
  readonly read?: (text: string) => unknown;
  readonly expected?: string;
  /** What it is when it is not given. */
  readonly otherwise?: unknown;
  readonly conflicts?: readonly string[];
  readonly implies?: Readonly<Record<string, unknown>>;
}

/** By the words of the help, in its order: `<name>` and `[names...]` are arguments, the others are options. */
export type Takes = Readonly<Record<string, string | Taken>>;

type Camel<Words extends string> = Words extends `${infer First}-${infer Rest}`
  ? `${First}${Capitalize<Camel<Rest>>}`
  : Words;

type NameOf<Words> = Words extends `${"<" | "["}${infer Name}${"...>" | "...]"}`
  ? Name
  : Words extends `${"<" | "["}${infer Name}${">" | "]"}`
    ? Name
    : Words extends `--no-${infer Name}`
      ? Camel<Name>
      : Words extends `${string}--${infer Name} ${string}`
        ? Camel<Name>
        : Words extends `${string}--${infer Name}`
          ? Camel<Name>
          : never;

type One<Declared> = Declared extends { readonly read: (text: string) => infer Value }
  ? Exclude<Value, null>
  : Declared extends { readonly isOpen: true }
    ? string
    : Declared extends { readonly choices: readonly (infer Choice)[] }
      ? Choice
      : string;

type Otherwise<Declared> = Declared extends { readonly otherwise: infer Value } ? Value : null;

type ValueOf<Words, Declared> = Words extends `--no-${string}`
  ? boolean | null
  : Declared extends { readonly isList: true }
    ? readonly One<Declared>[]
    : Words extends `${string}...${string}`
      ? readonly One<Declared>[]
      : Words extends `<${string}`
        ? One<Declared>
        : Declared extends { readonly isRequired: true }
          ? One<Declared>
          : Words extends `${string}--${string} [${string}`
            ? One<Declared> | true | null
            : Words extends `${string}${"<" | "["}${string}`
              ? One<Declared> | Otherwise<Declared>
              : boolean;

/** What is given, by camelCase names. `--no-x` makes `x` false, and beside `--x` null if neither is given. */
export type Given<Declared extends Takes> = {
  readonly [Words in keyof Declared as NameOf<Words>]: ValueOf<Words, Declared[Words]>;
};

export interface CommandDefinition extends Described {
  /** What its exit codes mean beyond those of every command. */
  readonly exits: Readonly<Record<number, string>>;
  readonly takes: Takes;
  /** Resolves with the exit code. `options` and `args` are as the parser has read them. */
  readonly run: (
    context: CommandContext,
    options: Readonly<Record<string, unknown>>,
    args: readonly unknown[],
  ) => Promise<number>;
}

export const JSON_OPTION = { "--json": "print the result as JSON" } as const;

interface Declaration<Declared extends Takes> extends Omit<Described, "name"> {
  readonly exits?: CommandDefinition["exits"];
  readonly takes?: Declared;
  /** It does not take `--json`. */
  readonly isText?: boolean;
  readonly run: (context: CommandContext, given: Given<Declared>) => Promise<number>;
}

/** A command whose `run` gets what it declares to take. It loads what it needs itself, so that other commands need not. */
export function command<const Declared extends Takes = Record<never, never>>(
  name: string,
  { run, takes, exits = {}, isText = false, ...definition }: Declaration<Declared>,
): CommandDefinition {
  const own: Takes = takes ?? {};
  return {
    ...definition,
    name,
    exits,
    takes: isText || "--json" in own ? own : { ...own, ...JSON_OPTION },
    run(context, options, args) {
      const json = options["json"] === true;
      // Without a word of its own there is nothing to be given.
      return run({ ...context, command: name, json }, givenOf(takes ?? ({} as Declared), options, args));
    },
  };
}

/** `options` and `args` are as the parser has read them. */
export function givenOf<const Declared extends Takes>(
  takes: Declared,
  options: Readonly<Record<string, unknown>>,
  args: readonly unknown[],
): Given<Declared> {
  const given: Record<string, unknown> = {};
  let at = 0;
  for (const [words, declared] of Object.entries<string | Taken>(takes)) {
    const [, word = "", tail = ""] = /^(?:[<[]|.*--(?:no-)?)([\w-]+)(.*)$/.exec(words) ?? [];
    const name = word.replace(/-./g, (pair) => pair.slice(1).toUpperCase());
    const { isList = tail.includes("..."), otherwise = null }: Partial<Taken> =
      typeof declared === "string" ? {} : declared;
    const isFlag = tail === "" && !words.startsWith("--no-");
    const value = /^[<[]/.test(words) ? args[at++] : options[name];
    given[name] = value ?? (isFlag ? false : isList ? [] : otherwise);
  }
  // As declared: the parser refuses anything else.
  return given as Given<Declared>;
}

/** Commands whose names begin alike: `shares list`, `shares add`. */
export interface GroupedCommands {
  readonly group: CommandGroup;
  readonly commands: readonly CommandDefinition[];
}
