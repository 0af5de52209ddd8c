// The command `mountaineer backends add`.
import { addBackendOptions as addOwnOptions } from "../../input/backend-options.ts";
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, addWaitOption, readFlag, readWaitMs } from "../../input/options.ts";

export const backendsAddCommand: CommandDefinition = {
  name: "backends add",
  summary: "add an MCP server to the configuration and start it",
  description:
    "What stands behind -- is started as it is, never through a shell. Returns when it is known whether the server " +
    "serves; it is saved all the same, and a daemon goes on trying. A value that looks like a secret is not written " +
    "into the file: at a terminal you are asked whether to keep it as a secret, elsewhere it is refused. With the " +
    "first server a token is made, without which nobody comes in over HTTP, as init does.",
  examples: [
    {
      command: "mountaineer backends add files -- npx -y @modelcontextprotocol/server-filesystem ~/Documents",
      does: "a program",
    },
    {
      command:
        "mountaineer backends add tickets --url https://tickets.example/mcp --header 'Authorization: Bearer ${TICKETS_TOKEN}'",
      does: "a server that is elsewhere",
    },
    {
      command: "mountaineer backends add github --env GITHUB_TOKEN=secret:github -- github-mcp-server stdio",
      does: "with a kept secret",
    },
  ],
  exits: {
    0: "it serves; or it is saved, and no daemon runs, or it is disabled",
    1: "it is saved, and does not serve",
    2: "a backend of that name is there, or a value is a secret; nothing was written",
  },
  addOptions(command) {
    command
      .argument("<name>", "what it is called here")
      .argument("[command...]", "the program and its arguments, behind --; or an address");
    addOwnOptions(command);
    command.option("--disabled", "do not start it");
    command.option("--no-token", "make no token for clients with the first server");
    addWaitOption(command);
    addJsonOption(command);
  },
  async run(context, options, [name = "", ...words]) {
    const { readBackendName, readBackendOptions } = await import("../../input/backend-options.ts");
    const { addBackend, tellChange } = await import("../../edits/backend-change.ts");
    const typed = readBackendOptions(options, words);
    const added = await addBackend(context, readBackendName(name), typed, {
      waitMs: readWaitMs(options),
      allowLiteral: readFlag(options, "allowLiteral"),
      token: options["token"] === false ? false : null,
    });
    return tellChange(context, added, { json: readFlag(options, "json"), done: "is added" });
  },
};
