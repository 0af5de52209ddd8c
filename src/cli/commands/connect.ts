// The command `mountaineer connect`.
import { CLIENT_NAMES, CLIENTS } from "../../clients/client.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { command } from "../input/command.ts";

const CONNECTED = CLIENT_NAMES.filter((name) => CLIENTS[name].isConnected);

export const connectCommand = command({
  name: "connect",
  summary: "make an agent's program use Mountaineer",
  description:
    "Writes Mountaineer into the file where Claude Desktop (claude), Claude Code (claude-code), Cursor, VS Code " +
    "(vscode), Zed, Codex, Windsurf or Gemini CLI (gemini) keeps its MCP servers. The client starts mountaineer mcp, so " +
    "that no token stands in its file. Servers of the client that are backends here are taken out of it, as they come " +
    "through Mountaineer. Shows what would change, and asks; what was there is kept, and --undo puts it back.",
  examples: {
    "mountaineer connect claude": "after mountaineer import claude",
    "mountaineer connect cursor --print": "see what to write, and change nothing",
    "mountaineer connect claude --undo": "put its file back",
  },
  exits: {
    0: "it is connected",
    1: "nobody agreed; nothing was changed",
    3: "the client's file cannot be read; nothing was changed",
  },
  takes: {
    "<client>": { about: "which one", choices: CONNECTED, isOpen: true },
    "--print": "only print what would stand in its file",
    "--undo": "put the file back",
    "--file <path>": "the client's file, if it is elsewhere",
    "--keep-others": "leave servers in its file that come through Mountaineer, too",
    "-y, --yes": "do not ask",
  },
  async run(context, { client: name, print, undo, ...given }) {
    const client = CONNECTED.find((one) => one === name);
    if (client === undefined) {
      throw new MountaineerError("usage", `no client is known as ${JSON.stringify(name)}`, {
        hint: `known are ${CONNECTED.join(", ")}; others start: mountaineer mcp`,
      });
    }
    const { connectClient, disconnectClient, printEntry } = await import("../clients/connect-client.ts");
    const manner = { ...given, client };
    if (print) return printEntry(context, manner);
    return undo ? disconnectClient(context, manner) : connectClient(context, manner);
  },
});
