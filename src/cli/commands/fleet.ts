// The commands `mountaineer fleet ...`.

import { Argument } from "commander";
import type { FleetMachine, FleetReport } from "../../api/fleet-contract.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { CommandDefinition, GroupedCommands } from "../input/command.ts";
import { addJsonOption, readFlag, readText, showResult } from "../input/options.ts";

const fleetStatusCommand: CommandDefinition = {
  name: "fleet status",
  summary: "show the machines of the fleet, and how each is",
  description:
    "Asks the running daemon what it has heard of the others: their shares and routes, their backends, what is wrong there, " +
    "and since when a machine has been silent. Of more than a dozen machines each is one line; a name shows all of one.",
  examples: [
    { command: "mountaineer fleet status", does: "see all machines, those with trouble first" },
    { command: "mountaineer fleet status nas", does: "see all that one of them tells" },
    {
      command: `mountaineer fleet status --json | jq -r '.machines[] | select(.presence != "here") | .name'`,
      does: "name those that are not there",
    },
  ],
  exits: {
    0: "it could answer, however things are",
    1: "no fleet is configured",
    2: "no machine has that name",
    8: "no daemon runs",
  },
  addOptions(command) {
    command.argument("[names...]", "machines, as the list shows them; without any, all");
    addJsonOption(command);
  },
  async run(context, options, names) {
    const { askDaemon } = await import("../sessions/control-session.ts");
    const purpose = { intent: "look", so: "and nobody else knows of the other machines" } as const;
    const whole = await askDaemon(context, purpose, "fleet", null);
    const isChosen = names.length > 0;
    const report = isChosen ? { ...whole, machines: machinesOf(whole, names) } : whole;
    const { renderFleet } = await import("../views/fleet-view.ts");
    showResult(context, options, report, () =>
      renderFleet(report, { ...context.stdoutStyle, now: Date.now() }, { isChosen }),
    );
    return 0;
  },
};

/** Rejects with `usage` for a name that none has. */
function machinesOf({ machines }: FleetReport, names: readonly string[]): FleetMachine[] {
  const unknown = names.find((name) => !machines.some((machine) => machine.name === name));
  if (unknown === undefined) return machines.filter(({ name }) => names.includes(name));
  throw new MountaineerError("usage", `no machine of the fleet is called ${unknown}`, {
    hint: "mountaineer fleet status lists them",
  });
}

const fleetInitCommand: CommandDefinition = {
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
    const { beginFleet } = await import("../fleet/fleet-commands.ts");
    return beginFleet(context, {
      name: readText(options, "name"),
      listen: readText(options, "listen"),
      invites: options["invite"] !== false,
      json: readFlag(options, "json"),
    });
  },
};

const fleetInviteCommand: CommandDefinition = {
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
    const { inviteMachine } = await import("../fleet/fleet-commands.ts");
    return inviteMachine(context, { json: readFlag(options, "json") });
  },
};

const fleetJoinCommand: CommandDefinition = {
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
    const { joinByCode } = await import("../fleet/fleet-commands.ts");
    return joinByCode(context, {
      code: code ?? null,
      name: readText(options, "name"),
      json: readFlag(options, "json"),
    });
  },
};

const fleetLeaveCommand: CommandDefinition = {
  name: "fleet leave",
  summary: "take this machine out of its fleet",
  description:
    "Takes [fleet] out of the configuration, and forgets this machine's key. The server still knows the key until " +
    "fleet remove is typed where the fleet began. On that machine itself the server goes too, with all that it kept.",
  examples: [
    { command: "mountaineer fleet leave", does: "leave" },
    { command: "mountaineer fleet leave --dissolve", does: "where the fleet began: end it for all" },
  ],
  exits: { 2: "the fleet's server is here, and others are in it" },
  addOptions(command) {
    command.option("--dissolve", "where the fleet began: end it although other machines are in it");
    addJsonOption(command);
  },
  async run(context, options) {
    const { leave } = await import("../fleet/fleet-commands.ts");
    return leave(context, { dissolves: readFlag(options, "dissolve"), json: readFlag(options, "json") });
  },
};

const fleetRemoveCommand: CommandDefinition = {
  name: "fleet remove",
  summary: "take another machine out of the fleet",
  description:
    "On the machine where the fleet began. The machine's connection ends at once, and its key opens nothing any more. " +
    "It may join again with a new code.",
  examples: [{ command: "mountaineer fleet remove laptop", does: "take it out" }],
  exits: { 1: "the server did not take it", 2: "the fleet has no machine of that name" },
  addOptions(command) {
    command.argument("<name>", "as fleet status shows it");
    addJsonOption(command);
  },
  async run(context, options, [machine = ""]) {
    const { remove } = await import("../fleet/fleet-commands.ts");
    return remove(context, { machine, json: readFlag(options, "json") });
  },
};

const fleetKeysRotateCommand: CommandDefinition = {
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
      const { rotateOperator } = await import("../fleet/operator-commands.ts");
      return rotateOperator(context, { json, stolen });
    }
    if (stolen) {
      throw new MountaineerError("usage", "--stolen is for the operator's key", {
        hint: "a machine's stolen key: exchange it, or mountaineer fleet remove NAME where the fleet began",
      });
    }
    if (what === "certificate") {
      const { rotateCertificate } = await import("../fleet/certificate-commands.ts");
      return rotateCertificate(context, { json });
    }
    const { rotateMachine } = await import("../fleet/key-commands.ts");
    return rotateMachine(context, { json });
  },
};

export const FLEET_COMMANDS: GroupedCommands = {
  group: {
    name: "fleet",
    summary: "several machines that know of each other",
    description: "Over NATS, where [fleet] is configured. See docs/fleet.md.",
    examples: [
      { command: "mountaineer fleet init", does: "begin one, and print what the next machine types" },
      { command: "mountaineer fleet status", does: "see all machines" },
    ],
  },
  commands: [
    fleetStatusCommand,
    fleetInitCommand,
    fleetInviteCommand,
    fleetJoinCommand,
    fleetLeaveCommand,
    fleetRemoveCommand,
  ],
};

export const FLEET_KEYS_COMMANDS: GroupedCommands = {
  group: {
    name: "fleet keys",
    summary: "the keys by which a fleet knows its machines and its operator",
    description: "Each can be exchanged in place, without joining again. See docs/fleet.md.",
    examples: [{ command: "mountaineer fleet keys rotate", does: "a new key for this machine" }],
  },
  commands: [fleetKeysRotateCommand],
};
