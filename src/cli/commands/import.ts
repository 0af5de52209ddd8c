// The command `mountaineer import`.
import { CLIENT_NAMES } from "../../clients/client.ts";
import { command } from "../input/command.ts";
import { JSON_OPTION, WAIT_OPTION } from "../input/options.ts";

export const importCommand = command({
  name: "import",
  summary: "take over the MCP servers that another program has",
  description:
    "Reads Claude Desktop (claude), Claude Code (claude-code), Cursor, VS Code (vscode), Zed, Codex, Windsurf, Gemini " +
    "CLI (gemini), mcp-hub, 1MCP (1mcp), or any file in their manner; without a name, all that are here. Shows what " +
    "would be added, and asks; with a daemon it returns when it is known whether they serve. Secrets that are written out are kept as secrets, with a reference in the file. The " +
    "other program's file is only read.",
  examples: {
    "mountaineer import claude": "take over those of Claude Desktop",
    "mountaineer import": "take over those of every client of this machine",
    "mountaineer import ./mcp.json --yes": "from a file, without being asked",
  },
  exits: {
    0: "they are imported; or there is nothing new",
    1: "nobody agreed, or --json was given without --yes; nothing was changed",
    3: "a file cannot be read; nothing was changed",
  },
  takes: {
    "[what...]": {
      about: "clients, or paths of files",
      choices: CLIENT_NAMES,
      isOpen: true,
    },
    "-y, --yes": "do not ask",
    "--allow-literal": "write secrets in arguments and addresses into the file as they are",
    ...WAIT_OPTION,
    ...JSON_OPTION,
  },
  async run(context, given) {
    const { importServers } = await import("../clients/import-servers.ts");
    return importServers(context, { ...given, words: given.what, waitMs: given.wait });
  },
});
