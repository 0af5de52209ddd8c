// The commands `mountaineer fleet ...`.

import type { FleetMachine, FleetReport } from "../../api/fleet-contract.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { command, type GroupedCommands } from "../input/command.ts";
import { showResult } from "../input/options.ts";
import { askDaemon } from "../sessions/control-session.ts";

const fleetStatusCommand = command("fleet status", {
  summary: "show the machines of the fleet, and how each is",
  description:
    "Asks the running daemon what it has heard of the others: their shares and routes, their backends, what is wrong there, " +
    "and since when a machine has been silent. Of more than a dozen machines each is one line; a name shows all of one.",
  examples: {
    "mountaineer fleet status": "see all machines, those with trouble first",
    "mountaineer fleet status nas": "see all that one of them tells",
    [`mountaineer fleet status --json | jq -r '.machines[] | select(.presence != "here") | .name'`]:
      "name those that are not there",
  },
  exits: {
    0: "it could answer, however things are",
    1: "no fleet is configured",
    2: "no machine has that name",
    8: "no daemon runs",
  },
  takes: {
    "[names...]": "machines, as the list shows them; without any, all",
  },
  async run(context, { names }) {
    const purpose = { intent: "look", so: "and nobody else knows of the other machines" } as const;
    const whole = await askDaemon(context, purpose, "fleet", null);
    const isChosen = names.length > 0;
    const report = isChosen ? { ...whole, machines: machinesOf(whole, names) } : whole;
    const { renderFleet } = await import("../views/fleet-view.ts");
    showResult(context, report, () =>
      renderFleet(report, { ...context.stdoutStyle, now: Date.now() }, { isChosen }),
    );
  },
});

/** The named machines. Throws `usage` for an unknown name. */
function machinesOf({ machines }: FleetReport, names: readonly string[]): FleetMachine[] {
  const unknown = names.find((name) => !machines.some((machine) => machine.name === name));
  if (unknown === undefined) return machines.filter(({ name }) => names.includes(name));
  throw new MountaineerError("usage", `no machine of the fleet is called ${unknown}`, {
    hint: "mountaineer fleet status lists them",
  });
}

const fleetInitCommand = command("fleet init", {
  summary: "begin a fleet on this machine",
  description:
    "Starts a nats-server of its own here, with TLS by a certificate authority of its own and a key for each machine, " +
    "and writes [fleet] into the configuration. Then it prints a code that lets one machine in, and waits for it, as " +
    "fleet invite does. The server outlives the command; from then on this machine's daemon starts it when it does not " +
    "run. Cut off, it goes on when it is typed again.",
  examples: {
    "mountaineer fleet init": "begin one, and let the next machine in",
    "mountaineer fleet init --name nas --listen nas.local:4222 --no-invite": "only begin it",
  },
  exits: { 1: "the server could not be started, or nobody joined in time" },
  takes: {
    "--name <name>": "what this machine is called in the fleet; default: its host name",
    "--listen <host:port>":
      "where the other machines reach this one; default: its first address beyond loopback, port 4222",
    "--no-invite": "print no code, and do not wait",
  },
  run: async (context, given) => (await import("../fleet/fleet-commands.ts")).beginFleet(context, given),
});

const fleetInviteCommand = command("fleet invite", {
  summary: "print a code that lets one machine into the fleet",
  description:
    "On the machine where the fleet began. Prints the code and waits until a machine has joined with it: the code is " +
    "good once, for 10 minutes, and only while this waits. It holds the server's address and fingerprint, the " +
    "operator's public key and a secret. With --json: two lines, one with the code and one with who joined.",
  examples: {
    "mountaineer fleet invite": "let the next machine in",
    "mountaineer fleet invite --json": "the same for a program",
  },
  exits: { 1: "nobody joined in time, or the server does not run" },
  run: async (context) => (await import("../fleet/fleet-commands.ts")).inviteMachine(context),
});

const fleetJoinCommand = command("fleet join", {
  summary: "join the fleet that a code is of",
  description:
    "The code is what fleet invite (or fleet init) printed on another machine, which waits meanwhile. Checks the " +
    "server's certificate against the code's fingerprint before anything is said to it, makes this machine's own key, " +
    "which never leaves it, and writes [fleet] into the configuration. Refused, it changes nothing; cut off, the same " +
    "typed again goes on. Without a code it is asked for, or read from standard input where that is no terminal: others " +
    "on this machine may see one that is an argument. Used, it is worth nothing.",
  examples: {
    "mountaineer fleet join mf1_…": "join",
    "mountaineer fleet join": "the same, and be asked for the code",
    "mountaineer fleet join --name laptop < code.txt": "by another name, with a code from a file",
  },
  exits: { 1: "the fleet refused it, or its server cannot be reached" },
  takes: {
    "[code]": "as it was printed; - reads it from standard input",
    "--name <name>": "what this machine is called in the fleet; default: its host name",
  },
  run: async (context, given) => (await import("../fleet/fleet-commands.ts")).joinByCode(context, given),
});

const fleetLeaveCommand = command("fleet leave", {
  summary: "take this machine out of its fleet",
  description:
    "Takes [fleet] out of the configuration, and forgets this machine's key. The server still knows the key until " +
    "fleet remove is typed where the fleet began. On that machine itself the server goes too, with all that it kept.",
  examples: {
    "mountaineer fleet leave": "leave",
    "mountaineer fleet leave --dissolve": "where the fleet began: end it for all",
  },
  exits: { 2: "the fleet's server is here, and others are in it" },
  takes: {
    "--dissolve": "where the fleet began: end it although other machines are in it",
  },
  run: async (context, given) => (await import("../fleet/fleet-commands.ts")).leave(context, given.dissolve),
});

const fleetRemoveCommand = command("fleet remove", {
  summary: "take another machine out of the fleet",
  description:
    "On the machine where the fleet began. The machine's connection ends at once, and its key opens nothing any more. " +
    "It may join again with a new code.",
  examples: { "mountaineer fleet remove laptop": "take it out" },
  exits: { 1: "the server did not take it", 2: "the fleet has no machine of that name" },
  takes: {
    "<name>": "as fleet status shows it",
  },
  run: async (context, { name }) => (await import("../fleet/fleet-commands.ts")).remove(context, name),
});

const fleetKeysRotateCommand = command("fleet keys rotate", {
  summary: "exchange this machine's key, the operator's, or the server's certificate",
  description:
    "Without more: makes a new key for this machine, has the fleet's server let it in, uses it, and only then has the old " +
    "one refused. Where a person runs the server, it says what to write there, and goes on when it is typed again. " +
    "`operator`: makes the key anew that signs the fleet's configuration, on the machine that has it; the old key says " +
    "so, and every machine takes the new one by itself. `certificate`: renews those of the server that fleet init began, " +
    "once every member knows their new authority. Cut off at any instant, it goes on when it is typed again.",
  examples: {
    "mountaineer fleet keys rotate": "a new key for this machine",
    "mountaineer fleet keys rotate operator": "a new key for the operator",
    "mountaineer fleet keys rotate certificate": "a new certificate for the fleet's server",
    "mountaineer fleet keys rotate operator --stolen":
      "the same without a word of the old key, which others have",
  },
  exits: {
    1: "the key is not here, the server or a member does not know the new one yet, or it is not reached",
    8: "no daemon runs (operator, certificate)",
    9: "somebody else changed the fleet's configuration meanwhile; type it again",
  },
  takes: {
    "[what]": {
      about: "what: machine, operator or certificate",
      choices: ["machine", "operator", "certificate"],
      otherwise: "machine",
    },
    "--stolen": "the operator's old key signs nothing: each machine is told by hand",
  },
  async run(context, { what, stolen }) {
    if (what === "operator") {
      const { rotateOperator } = await import("../fleet/operator-commands.ts");
      return rotateOperator(context, stolen);
    }
    if (stolen) {
      throw new MountaineerError("usage", "--stolen is for the operator's key", {
        hint: "a machine's stolen key: exchange it, or mountaineer fleet remove NAME where the fleet began",
      });
    }
    if (what === "certificate") {
      const { rotateCertificate } = await import("../fleet/certificate-commands.ts");
      return rotateCertificate(context);
    }
    const { rotateMachine } = await import("../fleet/key-commands.ts");
    return rotateMachine(context);
  },
});

export const FLEET_COMMANDS: GroupedCommands = {
  group: {
    name: "fleet",
    summary: "several machines that know of each other",
    description: "Over NATS, where [fleet] is configured. See docs/fleet.md.",
    examples: {
      "mountaineer fleet init": "begin one, and print what the next machine types",
      "mountaineer fleet status": "see all machines",
    },
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
    examples: { "mountaineer fleet keys rotate": "a new key for this machine" },
  },
  commands: [fleetKeysRotateCommand],
};
