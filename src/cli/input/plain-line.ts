// Recognizes calls that need no parser: commands that run often, for instance from shell prompts, status bars and clients.

const WITHOUT_ARGUMENTS = [
  "status",
  "shares list",
  "alias list",
  "backends list",
  "tools list",
  "mcp",
] as const;
const WITH_ONE = ["why"] as const;

export type PlainCommand = (typeof WITHOUT_ARGUMENTS | typeof WITH_ONE)[number];

export interface PlainLine {
  readonly command: PlainCommand;
  readonly args: readonly string[];
  readonly json: boolean;
}

/** The call, if the line has no option but `--json` at its end; null for other lines, which are left to the parser. */
export function readPlainLine(args: readonly string[]): PlainLine | null {
  const json = args.at(-1) === "--json";
  const parts = json ? args.slice(0, -1) : args;
  const line = parts.map((part) => part.replaceAll(" ", "?")).join(" ");
  const [first, name = ""] = parts;
  const one = WITH_ONE.find((command) => command === first);
  if (one !== undefined && parts.length === 2 && /^[^-]/.test(name))
    return { command: one, args: [name], json };
  const command = WITHOUT_ARGUMENTS.find((each) => each === line);
  return command === undefined || (command === "mcp" && json) ? null : { command, args: [], json };
}
