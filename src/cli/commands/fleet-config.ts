// The commands `mountaineer fleet config ...`.

import { command, type GroupedCommands } from "../input/command.ts";
import { entryNumber } from "../input/options.ts";

const fleetConfigGetCommand = command("fleet config get", {
  summary: "print the configuration that all machines of the fleet have in common",
  description:
    "As it stands in the fleet, if the operator's key has signed it. It lies under each machine's own file: what that " +
    "says wins. --json has the revision, who signed it when, and whose word counts here.",
  examples: {
    "mountaineer fleet config get": "see it",
    "mountaineer fleet config get > fleet.toml": "have it in a file, to change it",
  },
  exits: {
    1: "no fleet is configured, it is not reached, or what stands there is not signed",
    8: "no daemon runs",
  },
  run: async (context) => (await import("../fleet/layer-commands.ts")).getLayer(context),
});

const fleetConfigSetCommand = command("fleet config set", {
  summary: "make a file the configuration that all machines have in common",
  description:
    "Checks the TOML by itself and under this machine's own file, signs it with the operator's key as the next revision, " +
    "and puts it into the fleet unless somebody else was first. Each machine checks the signature, applies it like an " +
    "edit of its file, or refuses it whole; programs that it would start wait for `mountaineer approve` there. It holds " +
    "no [server], [fleet], [trust], `pin`, hosts of shares, paths that Mountaineer writes to, or secrets. Then it says which machines run it.",
  examples: {
    "mountaineer fleet config set fleet.toml": "for all machines",
    "mountaineer fleet config set - < fleet.toml": "from standard input",
  },
  exits: {
    1: "the operator's key is not here, or the fleet is not reached",
    3: "the file has mistakes; nothing was signed",
    8: "no daemon runs",
    9: "somebody else was first; nothing was written",
  },
  takes: {
    "<file>": "TOML; - reads it from standard input",
  },
  run: async (context, { file }) => (await import("../fleet/layer-commands.ts")).setLayer(context, file),
});

const fleetConfigDiffCommand = command("fleet config diff", {
  summary: "show what a file would change of the configuration that all machines have in common",
  description: "From what stands in the fleet to the file, as a unified diff.",
  examples: { "mountaineer fleet config diff fleet.toml": "look before `set`" },
  exits: {
    0: "it could be shown, whether anything differs or not",
    1: "no fleet is configured, or it is not reached",
    8: "no daemon runs",
  },
  isText: true,
  takes: {
    "<file>": "TOML; - reads it from standard input",
  },
  run: async (context, { file }) => (await import("../fleet/layer-commands.ts")).diffLayer(context, file),
});

const fleetConfigHistoryCommand = command("fleet config history", {
  summary: "list the revisions of what all machines have in common, newest first",
  description: "The newest 64 are kept in the fleet, each with the machine where it was signed.",
  examples: {
    "mountaineer fleet config history": "see what was set when",
    "mountaineer fleet config history --json | jq '.[0].revision'": "use it in a script",
  },
  exits: { 1: "no fleet is configured, or it is not reached", 8: "no daemon runs" },
  run: async (context) => (await import("../fleet/layer-commands.ts")).layerHistory(context),
});

const fleetConfigRollbackCommand = command("fleet config rollback", {
  summary: "make an earlier revision what all machines have in common",
  description:
    "Signs its text anew, as the next revision: machines take nothing older than what they have accepted. All else is as " +
    "with fleet config set.",
  examples: { "mountaineer fleet config rollback 7": "back to what revision 7 was" },
  exits: {
    1: "the operator's key is not here, or the fleet is not reached",
    2: "the fleet keeps no such revision",
    8: "no daemon runs",
    9: "somebody else was first; nothing was written",
  },
  takes: {
    "<revision>": {
      about: "a number of `mountaineer fleet config history`",
      read: entryNumber,
      expected: "a number of `mountaineer fleet config history`",
    },
  },
  run: async (context, { revision }) =>
    (await import("../fleet/layer-commands.ts")).rollBackLayer(context, revision),
});

export const FLEET_CONFIG_COMMANDS: GroupedCommands = {
  group: {
    name: "fleet config",
    summary: "the configuration that all machines of the fleet have in common",
    description:
      "A TOML text under each machine's own file, signed by the operator's key on the machine where the fleet began. See " +
      "docs/fleet.md.",
    examples: {
      "mountaineer fleet config get": "see it",
      "mountaineer fleet config set fleet.toml": "change it, on the operator's machine",
    },
  },
  commands: [
    fleetConfigGetCommand,
    fleetConfigSetCommand,
    fleetConfigDiffCommand,
    fleetConfigHistoryCommand,
    fleetConfigRollbackCommand,
  ],
};
