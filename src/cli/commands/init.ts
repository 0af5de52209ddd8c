// The command `mountaineer init`.
import { MountaineerError } from "../../runtime/errors.ts";
import type { InitChoices } from "../init/init-questions.ts";
import { command, type ParsedInput } from "../input/command.ts";

const CHOICES = {
  "--share <name>": "a share to keep mounted",
  "--tb-host <host>": "its address over the faster cable; one address is enough",
  "--fallback-host <host>": "its address or name over the other network",
  "--username <name>": "the user on the server; default: your login name",
  "--remote-share <name>": "the share's name on the server; default: as --share",
  "--password <reference>": "secret:NAME or ${VARIABLE}; default: log in as guest",
  "--backend <name>": "an MCP server to serve",
  "--command <line>": "the command line that starts it",
  "--url <address>": "its address, instead of a command",
} as const;

export const initCommand = command("init", {
  summary: "write a first configuration",
  description:
    "At a terminal it asks: it finds SMB servers, logs in only at the address that you choose, and mounts the shares that you choose. Without a terminal, options are required. An existing configuration is never overwritten. The first MCP server brings a token for HTTP clients; mountaineer mcp needs none.",
  examples: {
    "mountaineer init": "answer questions",
    "mountaineer init --share CORE --tb-host 10.10.10.1 --fallback-host nas.local --username ann --password secret:nas":
      "start with one share",
    "mountaineer init --add --backend documents --command 'npx -y @modelcontextprotocol/server-filesystem /tmp'":
      "add an MCP server",
    "mountaineer init --add --token": "create a token for a gateway that has none",
  },
  exits: {
    1: "the configuration is written, but a share could not be mounted",
    3: "the options do not make a valid configuration; nothing was written",
    9: "a configuration exists already",
  },
  takes: {
    ...CHOICES,
    "--token": "create a token for HTTP clients, also for a gateway that has none",
    "--no-token": "let in everybody on this machine",
    "--add": "add to the existing configuration",
  },
  run: async (context, options) =>
    (await import("../init/init-command.ts")).initConfig(context, {
      ...options,
      given: await givenChoices(options),
    }),
});

async function givenChoices(options: ParsedInput<typeof CHOICES>): Promise<InitChoices | null> {
  const { connectionOf } = await import("../../config/edit/new-backend.ts");
  const {
    share,
    tbHost,
    fallbackHost,
    username,
    remoteShare,
    password,
    backend,
    command: line,
    url,
  } = options;
  const ofShare = [tbHost, fallbackHost, username, remoteShare, password];
  if (share === null && ofShare.some((value) => value !== null)) throw incomplete("--share names the share");
  if (backend === null && (line ?? url) !== null) throw incomplete("--backend names the MCP server");
  if (share === null && backend === null) return null;
  if (share !== null && tbHost === null && fallbackHost === null) {
    throw incomplete("--share goes with --fallback-host, or --tb-host, or both");
  }
  if (backend !== null && (line === null) === (url === null)) {
    throw incomplete("--backend goes with either --command or --url");
  }
  return {
    shares:
      share === null
        ? []
        : [
            {
              name: share,
              nas: null,
              tbHost,
              fallbackHost,
              username,
              shareName: remoteShare,
              password,
              onlyOn: [],
            },
          ],
    backends:
      backend === null
        ? []
        : [{ name: backend, connection: url === null ? connectionOf(line ?? "") : { url } }],
    secrets: [],
  };
}

function incomplete(hint: string): MountaineerError {
  return new MountaineerError("usage", "an option is missing", { hint });
}
