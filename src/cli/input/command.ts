// The definition of a command: its name and help, its arguments and options, and the function that runs it.
import type { HttpEndpoint } from "../../api/client/http-exchange.ts";
import type { TerminalStyle } from "../../runtime/text/paint.ts";
import { printableJson } from "../../runtime/text/plain-text.ts";
import type { StandardInput } from "./standard-input.ts";

/** Each command line with its explanation. */
export type Examples = Readonly<Record<string, string>>;

/** Where a command's result goes, and the person who may be asked. */
export interface Terminal {
  /** The result is printed as JSON. */
  readonly json: boolean;
  readonly stdoutStyle: TerminalStyle;
  /** True if stdout is a terminal; control characters in untrusted text are then made visible. */
  readonly isTerminal: boolean;
  /** For results; to stdout. */
  readonly print: (text: string) => void;
  /** Writes one line to stderr. */
  readonly notify: (line: string) => void;
  readonly stdin: StandardInput;
  /**
   * Asks a person, and resolves with the typed line. Rejects with `aborted` at the end of the input, and with the signal's
   * reason. null without a terminal.
   */
  readonly prompt: ((question: string) => Promise<string>) | null;
}

/** What a command is about: a home, its file and its daemon. */
export interface Target {
  /** Mountaineer's own folder, absolute. */
  readonly home: string;
  /**
   * The command's full name, such as "config get". It is stored with every lock that the command takes, for
   * others that wait for the lock.
   */
  readonly command: string;
  /** The file that `--config` names, absolute; null if not given. */
  readonly configPath: string | null;
  /** The daemon of another machine that the command asks; null: the daemon of `home`. */
  readonly remote: HttpEndpoint | null;
}

export interface Signals {
  /** Aborted by the first SIGINT or SIGTERM, with a MountaineerError as its reason. */
  readonly signal: AbortSignal;
  /** Aborted by the second SIGINT or SIGTERM. */
  readonly forceSignal: AbortSignal;
}

/** A function takes the parts that it needs. */
export interface CommandContext extends Terminal, Target, Signals {}

export type MakeContext = (
  configFile: string | null,
  refusesRoot?: boolean,
) => Promise<CommandContext> | CommandContext;

interface Described {
  /** The full name, with that of the group if there is one: "mount", "config get". */
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** The text below the summary. */
  readonly description: string;
  readonly examples: Examples;
}

/** The first word of several commands, such as `config`. */
export interface CommandGroup extends Described {
  /** Another name, which the help does not show. */
  readonly alias?: string;
}

/** The kinds of names that completion looks up. */
export type LiveKind = "shares" | "aliases" | "backends" | "shares-and-backends";

export interface ParsedParameter {
  readonly about: string;
  readonly choices?: readonly string[];
  /** The kind of existing names that completion offers for the value. */
  readonly completes?: LiveKind;
  /** True: other values than the choices are also accepted. */
  readonly isOpen?: boolean;
  /** True: the option may be repeated. */
  readonly isList?: boolean;
  readonly isRequired?: boolean;
  /**
   * Parses the value. Returns null for a wrong value; the error then names `expected`. Default: the text
   * itself.
   */
  readonly read?: (text: string) => unknown;
  readonly expected?: string;
  /** The value if the argument or option is not given. */
  readonly otherwise?: unknown;
  readonly conflicts?: readonly string[];
  readonly implies?: Readonly<Record<string, unknown>>;
}

/**
 * Arguments and options in the form and order of the help: `<name>` and `[names...]` are arguments, the
 * others options.
 */
export type Parameters = Readonly<Record<string, string | ParsedParameter>>;

type Camel<Kebab extends string> = Kebab extends `${infer First}-${infer Rest}`
  ? `${First}${Capitalize<Camel<Rest>>}`
  : Kebab;

type NameOf<Term> = Term extends `${"<" | "["}${infer Name}${"...>" | "...]"}`
  ? Name
  : Term extends `${"<" | "["}${infer Name}${">" | "]"}`
    ? Name
    : Term extends `--no-${infer Name}`
      ? Camel<Name>
      : Term extends `${string}--${infer Name} ${string}`
        ? Camel<Name>
        : Term extends `${string}--${infer Name}`
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

type ValueOf<Term, Declared> = Term extends `--no-${string}`
  ? boolean | null
  : Declared extends { readonly isList: true }
    ? readonly One<Declared>[]
    : Term extends `${string}...${string}`
      ? readonly One<Declared>[]
      : Term extends `<${string}`
        ? One<Declared>
        : Declared extends { readonly isRequired: true }
          ? One<Declared>
          : Term extends `${string}--${string} [${string}`
            ? One<Declared> | true | null
            : Term extends `${string}${"<" | "["}${string}`
              ? One<Declared> | Otherwise<Declared>
              : boolean;

/**
 * The given values, each under its name in camelCase. `--no-x` makes `x` false; if both `--x` and `--no-x` are
 * declared and neither is given, `x` is null.
 */
export type ParsedInput<Declared extends Parameters> = {
  readonly [Term in keyof Declared as NameOf<Term>]: ValueOf<Term, Declared[Term]>;
};

export interface CommandDefinition extends Described {
  /** Explanations of exit codes that are special to this command. */
  readonly exits: Readonly<Record<number, string>>;
  readonly takes: Parameters;
  readonly refusesRoot?: boolean | undefined;
  /** Resolves with the exit code. `options` and `args` come from the parser. */
  readonly run: (
    context: CommandContext,
    options: Readonly<Record<string, unknown>>,
    args: readonly unknown[],
  ) => Promise<number>;
}

export const JSON_OPTION = { "--json": "print the result as JSON" } as const;

const REMOTE_OPTIONS = {
  "--url <url>": "ask the daemon of another machine: https://HOST[:PORT], or http:// on loopback",
  "--token-file <path>": "a file that holds the management token for --url",
} as const;

interface Declaration<Declared extends Parameters> extends Omit<Described, "name"> {
  readonly exits?: CommandDefinition["exits"];
  readonly takes?: Declared;
  /** Default: root acts as the user to whom the home belongs. */
  readonly refusesRoot?: boolean;
  /** True: the command has no `--json`. */
  readonly isText?: boolean;
  /** True: the command has `--url`, with which it asks the daemon of another machine. */
  readonly takesUrl?: boolean;
  /** Resolves with the exit code; undefined is 0. */
  readonly run: (context: CommandContext, given: ParsedInput<Declared>) => Promise<number | undefined>;
}

/**
 * Defines a command. `run` gets the declared values. It imports heavy code itself, because each start of the program
 * loads the definitions of all commands.
 */
export function command<const Declared extends Parameters = Record<never, never>>(
  name: string,
  { run, takes, exits = {}, isText = false, takesUrl = false, ...definition }: Declaration<Declared>,
): CommandDefinition {
  const own: Parameters = { ...takes, ...(takesUrl ? REMOTE_OPTIONS : {}) };
  return {
    ...definition,
    name,
    exits,
    takes: isText || "--json" in own ? own : { ...own, ...JSON_OPTION },
    async run(context, options, args) {
      const json = options["json"] === true;
      const print = json ? (text: string) => context.print(printableJson(text)) : context.print;
      const given = givenOf(takes ?? ({} as Declared), options, args);
      const remote = takesUrl ? await endpointOf(context, options) : null;
      return (await run({ ...context, command: name, remote, json, print }, given)) ?? 0;
    },
  };
}

async function endpointOf(
  context: CommandContext,
  { url, tokenFile }: Readonly<Record<string, unknown>>,
): Promise<HttpEndpoint | null> {
  if (url === undefined && tokenFile === undefined) return null;
  return (await import("./remote-endpoint.ts")).remoteEndpoint(context, { url, tokenFile });
}

/** Converts the parser's `options` and `args` to the declared values. */
export function givenOf<const Declared extends Parameters>(
  takes: Declared,
  options: Readonly<Record<string, unknown>>,
  args: readonly unknown[],
): ParsedInput<Declared> {
  const given: Record<string, unknown> = {};
  let at = 0;
  for (const [term, declared] of Object.entries<string | ParsedParameter>(takes)) {
    const [, bare = "", tail = ""] = /^(?:[<[]|.*--(?:no-)?)([\w-]+)(.*)$/.exec(term) ?? [];
    const name = bare.replace(/-./g, (pair) => pair.slice(1).toUpperCase());
    const { isList = tail.includes("..."), otherwise = null }: Partial<ParsedParameter> =
      typeof declared === "string" ? {} : declared;
    const isFlag = tail === "" && !term.startsWith("--no-");
    const value = /^[<[]/.test(term) ? args[at++] : options[name];
    given[name] = value ?? (isFlag ? false : isList ? [] : otherwise);
  }
  // The parser has checked the values against the declaration.
  return given as ParsedInput<Declared>;
}

/** Commands whose names begin alike: `shares list`, `shares add`. */
export interface GroupedCommands {
  /** A command that also works on its own, or only the first word of the commands. */
  readonly group: CommandGroup | CommandDefinition;
  readonly commands: readonly CommandDefinition[];
}
