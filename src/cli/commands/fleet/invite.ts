// The command `mountaineer fleet invite`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const fleetInviteCommand: CommandDefinition = {
  name: "fleet invite",
  summary: "print a code that lets one machine into the fleet",
  description:
    "On the machine where the fleet began. Prints the code and waits until a machine has joined with it: the code is " +
    "good once, for 10 minutes, and only while this waits. It holds the server's address and fingerprint, the " +
    "operator's public key and a secret. With --json: two lines, one with the code and one with who joined.",
  examples: [
    { command: "mountaineer fleet invite", does: "let the next machine in" },
    { command: "mountaineer fleet invite --json", does: "the same for a program" },
  ],
  exits: { 1: "nobody joined in time, or the server does not run" },
  addOptions(command) {
    addJsonOption(command);
  },
  async run(context, options) {
    const { inviteMachine } = await import("../../fleet/fleet-commands.ts");
    return inviteMachine(context, { json: readFlag(options, "json") });
  },
};
