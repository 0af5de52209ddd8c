// The commands `mountaineer fleet config ...`.

import { command, type GroupedCommands } from "../input/command.ts";
import { entryNumber } from "../input/options.ts";

const fleetConfigGetCommand = command("fleet config get", {
  summary: "print the shared configuration of all machines",
  description:
    "Prints the fleet's version, if the operator's key has signed it. Each machine's own file takes precedence " +
    "over it. --json has the revision, who signed it when, and which operator key this machine trusts.",
  examples: {
    "mountaineer fleet config get": "see it",
    "mountaineer fleet config get > fleet.toml": "write it to a file, to change it",
  },
  exits: {
    1: "no fleet is configured, it cannot be reached, or its configuration is not signed",
    8: "no daemon runs",
  },
  run: async (context) => (await import("../fleet/layer-commands.ts")).getLayer(context),
});

const fleetConfigSetCommand = command("fleet config set", {
  summary: "make a file the shared configuration of all machines",
  description:
    "Checks the TOML by itself and under this machine's own file, signs it with the operator's key as the next " +
    "revision, and publishes it unless somebody else was first. Each machine checks the signature and applies it " +
    "like an edit of its file, or refuses it as a whole; new programs wait for `mountaineer approve` there. The " +
    "file cannot contain [server], [fleet], [trust], `pin`, hosts of shares, paths that Mountaineer writes to, " +
    "or secrets. Afterwards it shows which machines run it.",
  examples: {
    "mountaineer fleet config set fleet.toml": "for all machines",
    "mountaineer fleet config set - < fleet.toml": "from standard input",
  },
  exits: {
    1: "the operator's key is not here, or the fleet cannot be reached",
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
  summary: "show what a file would change in the shared configuration",
  description: "A unified diff from the fleet's version to the file.",
  examples: { "mountaineer fleet config diff fleet.toml": "check before `set`" },
  exits: {
    0: "the differences are shown, if any",
    1: "no fleet is configured, or it cannot be reached",
    8: "no daemon runs",
  },
  isText: true,
  takes: {
    "<file>": "TOML; - reads it from standard input",
  },
  run: async (context, { file }) => (await import("../fleet/layer-commands.ts")).diffLayer(context, file),
});

const fleetConfigHistoryCommand = command("fleet config history", {
  summary: "list the revisions of the shared configuration, newest first",
  description: "The fleet keeps the newest 64, each with the machine that signed it.",
  examples: {
    "mountaineer fleet config history": "see what was set when",
    "mountaineer fleet config history --json | jq '.[0].revision'": "use it in a script",
  },
  exits: { 1: "no fleet is configured, or it cannot be reached", 8: "no daemon runs" },
  run: async (context) => (await import("../fleet/layer-commands.ts")).layerHistory(context),
});

const fleetConfigRollbackCommand = command("fleet config rollback", {
  summary: "restore an earlier revision of the shared configuration",
  description:
    "Signs its text again as the next revision, because machines accept only newer ones. Otherwise works like " +
    "fleet config set.",
  examples: { "mountaineer fleet config rollback 7": "back to revision 7" },
  exits: {
    1: "the operator's key is not here, or the fleet cannot be reached",
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
    summary: "the shared configuration of the fleet's machines",
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
