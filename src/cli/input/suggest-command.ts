// Hints for words that are commands in other programs, but not here.
import { howToUpgrade } from "./how-to-upgrade.ts";

/** For each command group ("" for none): each hint, with the words that lead to the hint. */
const MEANT: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "": {
    "mountaineer up": "start run install",
    "mountaineer down": "stop quit kill",
    "mountaineer restart": "handover",
    "mountaineer up serves the gateway; mountaineer mcp serves one client over stdio": "serve",
    "mountaineer shares list, mountaineer backends list or mountaineer tools list": "list ls",
    "mountaineer shares add or mountaineer backends add": "add",
    "mountaineer shares remove or mountaineer backends remove": "remove rm",
    "mountaineer config validate": "validate",
    "mountaineer config set KEY VALUE, or the page: mountaineer open": "edit",
    "mountaineer config get KEY": "get",
    "mountaineer config set KEY VALUE": "set",
    "mountaineer status shows how things are, mountaineer config show the configuration": "show",
    "mountaineer status": "info",
    "mountaineer config history": "history",
    "mountaineer config rollback": "rollback",
    "mountaineer config diff": "diff",
    "mountaineer verify checks the shares, mountaineer doctor everything": "check",
    "mountaineer backends list": "server servers",
    "mountaineer init": "setup",
    "mountaineer backends login NAME signs in to an MCP server that wants it": "login signin",
    "mountaineer backends logout NAME": "logout",
    "mountaineer init --add --token makes one for agents over HTTP; mountaineer secret set gateway-token changes it":
      "token",
    "mountaineer approve for changes of the configuration, mountaineer tools approve for tools": "trust",
    "mountaineer unmount": "umount",
    "mountaineer unmount --share NAME": "eject",
    "mountaineer shares list": "favourites",
    "mountaineer connect NAME --undo puts that client's file back": "disconnect",
    "mountaineer import takes over the MCP servers of other programs": "migrate",
    "mountaineer backends add NAME --registry SERVER": "registry",
    "mountaineer tui in a terminal, mountaineer menubar in the menu bar": "gui ui web dashboard",
  },
  shares: {
    "mountaineer shares list": "ls show",
    "mountaineer shares add --share NAME --tb-host HOST --fallback-host HOST": "new create",
    "mountaineer shares remove --share NAME": "rm delete del",
    "mountaineer config set shares.NAME.KEY VALUE": "set edit",
  },
  backends: {
    "mountaineer backends list": "ls show status",
    "mountaineer backends logs NAME": "log",
    "mountaineer backends add NAME -- PROGRAM ARGUMENTS": "new create",
    "mountaineer backends remove NAME": "rm delete",
    "mountaineer backends edit NAME --set KEY=VALUE": "set",
    "mountaineer backends edit NAME": "update",
    "mountaineer import": "import",
    "mountaineer switch --backend NAME --to ROUTE": "switch",
    "mountaineer backends login NAME": "auth signin",
    "mountaineer approve NAME": "approve",
    "mountaineer backends disable NAME; enable has it run again": "stop",
    "mountaineer backends enable NAME, or mountaineer backends restart NAME": "start",
  },
  config: {
    "mountaineer config show": "ls list view print cat",
    "mountaineer config validate": "check",
    "mountaineer config path prints where the file is": "open edit",
    "mountaineer config set KEY VALUE": "add",
    "mountaineer config unset KEY takes one out; mountaineer config rollback undoes the last change":
      "rm remove delete reset",
    "mountaineer config rollback": "undo",
    "mountaineer init": "init",
  },
  secret: {
    "mountaineer secret list": "ls",
    "mountaineer secret list says which are stored; their values are never shown": "show get",
    "mountaineer secret set NAME": "add create",
    "mountaineer secret remove NAME": "rm delete unset",
  },
  alias: {
    "mountaineer alias list": "ls",
    "mountaineer alias add --name NAME --share SHARE --target-subpath FOLDER": "new create",
    "mountaineer alias remove --name NAME": "rm delete",
  },
  tools: {
    "mountaineer tools list": "ls",
    "mountaineer call TOOL": "call",
    "mountaineer tools approve NAME": "accept",
  },
};

/** Returns the hint for `word` typed after the command group `group` ("": no group); null if there is no hint. */
export function suggestCommand(group: string, word: string): string | null {
  if (group === "" && ["update", "upgrade"].includes(word)) return howToUpgrade();
  const hints = Object.entries(Object.hasOwn(MEANT, group) ? (MEANT[group] ?? {}) : {});
  return hints.find(([, words]) => words.split(" ").includes(word))?.[0] ?? null;
}

/** The arguments without options and without the file of `--config`. */
export function plainWords(args: readonly string[]): string[] {
  return args.filter((arg, index) => !arg.startsWith("-") && args[index - 1] !== "--config");
}
