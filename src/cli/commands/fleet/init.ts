// The command `mountaineer fleet init`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag, readText } from "../../input/options.ts";

export const fleetInitCommand: CommandDefinition = {
  name: "fleet init",
  summary: "begin a fleet on this machine",
  description:
    "Starts a nats-server of its own here, with TLS by a certificate authority of its own and a key for each machine, " +
    "and writes [fleet] into the configuration. Then it prints a code that lets one machine in, and waits for it, as " +
    "fleet invite does. The server outlives the command; from then on this machine's daemon starts it when it does not " +
    "run. Cut off, it goes on when it is typed again.",
  examples: [
    { command: "mountaineer fleet init", does: "begin one, and let the next machine in" },
    {
      command: "mountaineer fleet init --name nas --listen nas.local:4222 --no-invite",
      does: "only begin it",
    },
  ],
  exits: { 1: "the server could not be started, or nobody joined in time" },
  addOptions(command) {
    command
      .option("--name <name>", "what this machine is called in the fleet; default: its host name")
      .option(
        "--listen <host:port>",
        "where the other machines reach this one; default: its first address beyond loopback, port 4222",
      )
      .option("--no-invite", "print no code, and do not wait");
    addJsonOption(command);
  },
  async run(context, options) {
    const { beginFleet } = await import("../../fleet/fleet-commands.ts");
    return beginFleet(context, {
      name: readText(options, "name"),
      listen: readText(options, "listen"),
      invites: options["invite"] !== false,
      json: readFlag(options, "json"),
    });
  },
};
