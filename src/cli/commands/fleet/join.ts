// The command `mountaineer fleet join`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag, readText } from "../../input/options.ts";

export const fleetJoinCommand: CommandDefinition = {
  name: "fleet join",
  summary: "join the fleet that a code is of",
  description:
    "The code is what fleet invite (or fleet init) printed on another machine, which waits meanwhile. Checks the " +
    "server's certificate against the code's fingerprint before anything is said to it, makes this machine's own key, " +
    "which never leaves it, and writes [fleet] into the configuration. Refused, it changes nothing; cut off, the same " +
    "typed again goes on. Without a code it is asked for, or read from standard input where that is no terminal: others " +
    "on this machine may see one that is an argument. Used, it is worth nothing.",
  examples: [
    { command: "mountaineer fleet join mf1_…", does: "join" },
    { command: "mountaineer fleet join", does: "the same, and be asked for the code" },
    {
      command: "mountaineer fleet join --name laptop < code.txt",
      does: "by another name, with a code from a file",
    },
  ],
  exits: { 1: "the fleet refused it, or its server cannot be reached" },
  addOptions(command) {
    command
      .argument("[code]", "as it was printed; - reads it from standard input")
      .option("--name <name>", "what this machine is called in the fleet; default: its host name");
    addJsonOption(command);
  },
  async run(context, options, [code]) {
    const { joinByCode } = await import("../../fleet/fleet-commands.ts");
    return joinByCode(context, {
      code: code ?? null,
      name: readText(options, "name"),
      json: readFlag(options, "json"),
    });
  },
};
