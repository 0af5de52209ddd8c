// The commands `mountaineer fleet ...`.

import type { FleetMachine, FleetReport } from "../../api/contract/fleet.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { command, type GroupedCommands } from "../input/command.ts";
import { showResult } from "../input/options.ts";
import { callDaemon } from "../sessions/control-session.ts";

const fleetStatusCommand = command("fleet status", {
  summary: "show the machines of the fleet and their status",
  description: "Of more than a dozen, each is one line; name one to see all of it.",
  examples: {
    "mountaineer fleet status": "see all machines, those with problems first",
    "mountaineer fleet status nas": "see all about one of them",
    [`mountaineer fleet status --json | jq -r '.machines[] | select(.presence != "here") | .name'`]:
      "list those that are away",
  },
  exits: {
    0: "the status is shown, good or bad",
    1: "no fleet is configured",
    2: "no machine has that name",
    8: "no daemon runs",
  },
  takes: {
    "[names...]": "machines, as the list shows them; default: all",
  },
  async run(context, { names }) {
    const purpose = { intent: "look", so: "and only a daemon knows the other machines" } as const;
    const whole = await callDaemon(context, purpose, "fleet", null);
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
  summary: "start a fleet on this machine",
  description:
    "Starts the fleet's nats-server here, with TLS and a key for each machine, writes [fleet], and invites one machine. If interrupted, run it again.",
  examples: {
    "mountaineer fleet init": "start one, and let the next machine in",
    "mountaineer fleet init --name nas --listen nas.local:4222 --no-invite": "only start it",
  },
  exits: { 1: "the server could not be started, or no machine joined in time" },
  takes: {
    "--name <name>": "this machine's name; default: its host name",
    "--listen <host:port>":
      "where other machines reach this one; default: its first non-loopback address, port 4222",
    "--no-invite": "print no code, and do not wait",
  },
  run: async (context, given) => (await import("../fleet/fleet-commands.ts")).beginFleet(context, given),
});

const fleetInviteCommand = command("fleet invite", {
  summary: "print a code that lets one machine into the fleet",
  description:
    "Run it where the fleet began. The code works once, for 10 minutes, while this command waits. --json prints two lines: the code, then the machine that joined.",
  examples: {
    "mountaineer fleet invite": "let the next machine in",
    "mountaineer fleet invite --json": "print the invitation as JSON",
  },
  exits: { 1: "no machine joined in time, or the server does not run" },
  run: async (context) => (await import("../fleet/fleet-commands.ts")).inviteMachine(context),
});

const fleetJoinCommand = command("fleet join", {
  summary: "join a fleet with a code",
  description:
    "Checks the server by the code's fingerprint, creates this machine's key, and writes [fleet]. If refused, it changes nothing; if interrupted, run it again. Other users can see arguments: without one it asks, or reads standard input.",
  examples: {
    "mountaineer fleet join mf1_…": "join",
    "mountaineer fleet join": "the same, but asks for the code",
    "mountaineer fleet join --name laptop < code.txt": "with another name and a file",
  },
  exits: { 1: "the fleet refused it, or its server cannot be reached" },
  takes: {
    "[code]": "the code; - reads it from standard input",
    "--name <name>": "this machine's name; default: its host name",
  },
  run: async (context, given) => (await import("../fleet/fleet-commands.ts")).joinByCode(context, given),
});

const fleetLeaveCommand = command("fleet leave", {
  summary: "take this machine out of its fleet",
  description:
    "Removes [fleet] and deletes this machine's key, which the server accepts until fleet remove. Where the fleet began, it also removes the server and its data.",
  examples: {
    "mountaineer fleet leave": "leave",
    "mountaineer fleet leave --dissolve": "where the fleet began: end it for all",
  },
  exits: { 2: "the fleet's server is here, and others are in it" },
  takes: {
    "--dissolve": "where the fleet began: end it although others are in it",
  },
  run: async (context, given) => (await import("../fleet/fleet-commands.ts")).leave(context, given.dissolve),
});

const fleetRemoveCommand = command("fleet remove", {
  summary: "take another machine out of the fleet",
  description:
    "Run it where the fleet began. Its connection and key end at once; a new code lets it in again.",
  examples: { "mountaineer fleet remove laptop": "remove it" },
  exits: { 1: "the server refused the change", 2: "the fleet has no machine of that name" },
  takes: {
    "<name>": "as fleet status shows it",
  },
  run: async (context, { name }) => (await import("../fleet/fleet-commands.ts")).remove(context, name),
});

export const FLEET_COMMANDS: GroupedCommands = {
  group: {
    name: "fleet",
    summary: "connect several machines",
    description: "Over NATS. See docs/reference/fleet.md.",
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
