// `mountaineer __complete`, which the shells' scripts run on each press of Tab. It prints what it finds within a short
// deadline, and prints nothing on stderr.
import type { Clock } from "../../runtime/time/clock.ts";
import {
  type Candidate,
  type CompletionRequest,
  completionRequest,
} from "../completion/completion-request.ts";
import type { CommandContext } from "../input/command.ts";
import { COMMANDS } from "./command-list.ts";
import { createProgram } from "./program.ts";

interface CompleteOptions extends Pick<CommandContext, "home" | "print"> {
  readonly clock: Clock;
}

/** Deadline for reading files of the home, ms: only a hanging disk needs longer. */
const READING_MS = 1_000;
const AT_MOST = 500;
const LONGEST_DESCRIPTION = 80;
/** A line that makes the shell's completion script complete file names. */
const FILES = ":files";

/**
 * Prints a candidate per line, with its description after a tab. The arguments are `SHELL WORD…`, where the last word
 * is being typed. bash splits words at `:` and `=`, so its arguments are `bash CURRENT LINE`: what bash takes for the
 * current word, and the line up to the cursor.
 */
export async function complete(args: readonly string[], options: CompleteOptions): Promise<number> {
  const [shell = "", ...rest] = args;
  const isBash = shell === "bash";
  const [current = "", line = ""] = rest;
  const typedArgs = isBash ? lineArgs(line) : rest.length === 0 ? [""] : rest;
  const typed = typedArgs.at(-1) ?? "";
  const program = createProgram({ print: () => {}, complain: () => {} }, async () => {});
  const request = completionRequest(program, COMMANDS, typedArgs);
  if (request.kind === "files") {
    options.print(`${FILES}\n`);
    return 0;
  }
  const fitting = (await candidatesOf(request, typedArgs, options))
    .filter(({ value }) => value.startsWith(typed) && !/\p{Cc}/u.test(value))
    .slice(0, AT_MOST);
  const lines = isBash
    ? fitting.map(({ value }) => bashText(value, typed, current))
    : fitting.map(({ value, description }) => `${value}\t${shortened(description)}`);
  options.print(lines.map((each) => `${each}\n`).join(""));
  return 0;
}

async function candidatesOf(
  request: CompletionRequest,
  args: readonly string[],
  { home, clock }: CompleteOptions,
): Promise<readonly Candidate[]> {
  if (request.kind === "words") return request.candidates;
  if (request.kind !== "live") return [];
  const { live, without, prefix = "" } = request;
  // Loads code before the deadline starts: loading is slow on a busy machine, but cannot hang.
  const { liveNames } = await import("../completion/completion-names.ts");
  const nothing = Promise.withResolvers<readonly Candidate[]>();
  using _limit = clock.setTimer(READING_MS, () => nothing.resolve([]));
  const found = liveNames(live, { home, configPath: configOf(args) });
  return (await Promise.race([found, nothing.promise])).flatMap((one) =>
    without.includes(one.value) ? [] : [{ ...one, value: `${prefix}${one.value}` }],
  );
}

function configOf(args: readonly string[]): string | null {
  const index = args.indexOf("--config");
  return index === -1 ? null : (args[index + 1] ?? null);
}

function shortened(text: string): string {
  const [first = ""] = text.split("\n");
  const plain = first.replace(/\p{Cc}/gu, " ");
  return plain.length > LONGEST_DESCRIPTION ? `${plain.slice(0, LONGEST_DESCRIPTION - 1)}…` : plain;
}

/** Splits the line as bash does, without the program's name; accepts a quote that is not closed yet. */
export function lineArgs(line: string): string[] {
  const args: string[] = [""];
  let quote: string | null = null;
  for (let at = 0; at < line.length; at++) {
    const character = line.charAt(at);
    const next = line.charAt(at + 1);
    const last = args.length - 1;
    const add = (text: string): void => {
      args[last] = `${args[last] ?? ""}${text}`;
    };
    if (quote === "'") {
      if (character === "'") quote = null;
      else add(character);
    } else if (character === "\\" && (quote === null || /["\\$`]/.test(next))) {
      add(next);
      at++;
    } else if (quote !== null) {
      if (character === quote) quote = null;
      else add(character);
    } else if (character === "'" || character === '"') quote = character;
    else if (/\s/.test(character)) {
      if (args[last] !== "" || at === 0) args.push("");
    } else add(character);
  }
  return args.slice(1).length === 0 ? [""] : args.slice(1);
}

/** The text for bash to insert: bash ends words at `:` and `=`, and replaces only the part after these. */
function bashText(value: string, typed: string, current: string): string {
  const bare = current.replace(/^["']/, "");
  const isPart =
    bare.length < typed.length &&
    typed.endsWith(bare) &&
    /[:=]$/.test(typed.slice(0, typed.length - bare.length));
  const separator = /^[:=]$/.test(current);
  const rest = separator
    ? value.slice(typed.length)
    : isPart
      ? value.slice(typed.length - bare.length)
      : value;
  // In an open quote, bash inserts the text unchanged, and closes the quote.
  if (current.startsWith('"')) return rest.replace(/["\\$`]/g, "\\$&");
  if (current.startsWith("'")) return rest.replaceAll("'", "'\\''");
  return /^[A-Za-z0-9_./:=@%+,-]*$/.test(rest)
    ? rest
    : rest.replace(/[^A-Za-z0-9_./:=@%+,\u0080-\uffff-]/g, "\\$&");
}
