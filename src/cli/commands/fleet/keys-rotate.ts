// The command `mountaineer fleet keys rotate`.
import { Argument } from "commander";
import { MountaineerError } from "../../../runtime/errors.ts";
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const fleetKeysRotateCommand: CommandDefinition = {
  name: "fleet keys rotate",
  summary: "exchange this machine's key, the operator's, or the server's certificate",
  description:
    "Without more: makes a new key for this machine, has the fleet's server let it in, uses it, and only then has the old " +
    "one refused. Where a person runs the server, it says what to write there, and goes on when it is typed again. " +
    "`operator`: makes the key anew that signs the fleet's configuration, on the machine that has it; the old key says " +
    "so, and every machine takes the new one by itself. `certificate`: renews those of the server that fleet init began, " +
    "once every member knows their new authority. Cut off at any instant, it goes on when it is typed again.",
  examples: [
    { command: "mountaineer fleet keys rotate", does: "a new key for this machine" },
    { command: "mountaineer fleet keys rotate operator", does: "a new key for the operator" },
    {
      command: "mountaineer fleet keys rotate certificate",
      does: "a new certificate for the fleet's server",
    },
    {
      command: "mountaineer fleet keys rotate operator --stolen",
      does: "the same without a word of the old key, which others have",
    },
  ],
  exits: {
    1: "the key is not here, the server or a member does not know the new one yet, or it is not reached",
    8: "no daemon runs (operator, certificate)",
    9: "somebody else changed the fleet's configuration meanwhile; type it again",
  },
  addOptions(command) {
    command
      .addArgument(
        new Argument("[what]", "what: machine, operator or certificate")
          .choices(["machine", "operator", "certificate"])
          .default("machine"),
      )
      .option("--stolen", "the operator's old key signs nothing: each machine is told by hand");
    addJsonOption(command);
  },
  async run(context, options, [what = "machine"]) {
    const json = readFlag(options, "json");
    const stolen = readFlag(options, "stolen");
    if (what === "operator") {
      const { rotateOperator } = await import("../../fleet/operator-commands.ts");
      return rotateOperator(context, { json, stolen });
    }
    if (stolen) {
      throw new MountaineerError("usage", "--stolen is for the operator's key", {
        hint: "a machine's stolen key: exchange it, or mountaineer fleet remove NAME where the fleet began",
      });
    }
    if (what === "certificate") {
      const { rotateCertificate } = await import("../../fleet/certificate-commands.ts");
      return rotateCertificate(context, { json });
    }
    const { rotateMachine } = await import("../../fleet/key-commands.ts");
    return rotateMachine(context, { json });
  },
};
