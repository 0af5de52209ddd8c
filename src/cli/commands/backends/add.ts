// The command `mountaineer backends add`.
import { MountaineerError } from "../../../runtime/errors.ts";
import { addBackendOptions, type TypedBackend } from "../../input/backend-options.ts";
import type { CommandContext, CommandDefinition, GivenOptions } from "../../input/command.ts";
import {
  addJsonOption,
  addWaitOption,
  collected,
  readFlag,
  readList,
  readText,
  readWaitMs,
} from "../../input/options.ts";
import { FAILED_EXIT } from "../../views/results-view.ts";

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
    {
      command: "mountaineer backends add fetch --registry io.github.example/fetch",
      does: "from the MCP registry",
    },
  ],
  exits: {
    0: "it serves; or it is saved, and no daemon runs, or it is disabled",
    1: "it is saved, and does not serve; or the registry has no such server, or nobody agreed, and nothing was written",
    2: "a backend of that name is there, or a value is a secret; nothing was written",
  },
  addOptions(command) {
    command
      .argument("<name>", "what it is called here")
      .argument("[command...]", "the program and its arguments, behind --; or an address");
    addBackendOptions(command);
    command
      .option(
        "--registry <server>",
        "take what is to be started from the MCP registry, pinned to its newest version",
      )
      .option(
        "--input <name=value>",
        "a value that the registry's server wants; may be given again",
        collected,
      )
      .option("--yes", "do not ask whether what the registry says is to be added")
      .option("--disabled", "do not start it")
      .option("--no-token", "make no token for clients with the first server");
    addWaitOption(command);
    addJsonOption(command);
  },
  async run(context, options, [name = "", ...words]) {
    const { readBackendName, readBackendOptions } = await import("../../input/backend-options.ts");
    const { addBackend, requireFreeName, tellChange } = await import("../../edits/backend-change.ts");
    const typed = readBackendOptions(options, words);
    const server = readText(options, "registry");
    const backend = readBackendName(name);
    // As in `backends add NAME npx -y PACKAGE`.
    if (server === null && readFlag(options, "yes")) {
      throw new MountaineerError("usage", "--yes is for what --registry says", {
        hint: `a program's own options stand behind --: mountaineer backends add ${backend} -- PROGRAM -y …`,
      });
    }
    // Before anything is asked for, or kept.
    if (server !== null) await requireFreeName(context, backend);
    const whole = server === null ? typed : await fromRegistry(context, options, { backend, server, typed });
    if (whole === null) return FAILED_EXIT;
    const added = await addBackend(context, backend, whole, {
      waitMs: readWaitMs(options),
      allowLiteral: readFlag(options, "allowLiteral"),
      token: options["token"] === false ? false : null,
    });
    return tellChange(context, added, { json: readFlag(options, "json"), done: "is added" });
  },
};

async function fromRegistry(
  context: CommandContext,
  options: GivenOptions,
  wish: { readonly backend: string; readonly server: string; readonly typed: TypedBackend },
): Promise<TypedBackend | null> {
  const { registryBackend } = await import("../../clients/registry-backend.ts");
  const { backend: name, server, typed } = wish;
  const given = new Map(readList(options, "input").map((text) => nameAndValue(text)));
  return registryBackend(context, { name, server, given, yes: readFlag(options, "yes") }, typed);
}

function nameAndValue(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}
