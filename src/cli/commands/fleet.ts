// The commands `mountaineer fleet ...`.

import type { FleetMachine, FleetReport } from "../../api/contract/fleet.ts";
import { fleetOff } from "../../api/operations/gateway-names.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { SECRET_NAME } from "../../runtime/text/name-forms.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { command, type GroupedCommands } from "../input/command.ts";
import { showResult } from "../input/options.ts";
import { applySecret } from "../sessions/apply-secret.ts";
import { readMembers } from "../sessions/config-members.ts";
import { viewConfig } from "../sessions/config-session.ts";
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

const fleetKeyCommand = command("fleet key", {
  summary: "make this machine's key, and print its line for nats-server's configuration",
  description:
    "Stores the key as the secret that [fleet].credentials names; a stored one stays. The line has only the public key, and the permissions of [fleet].name.",
  examples: { "mountaineer fleet key": "print the line" },
  exits: { 1: "no fleet is configured" },
  async run(context) {
    const { fleet } = await viewConfig(context, readMembers);
    if (fleet === null) throw fleetOff();
    const { credentials, name } = fleet;
    if (credentials.kind !== "stored" || !SECRET_NAME.form.test(credentials.name))
      throw new MountaineerError("usage", "[fleet].credentials names no secret of this home", {
        hint: 'write credentials = "secret:fleet"',
      });
    const { machineKey } = await import("../../fleet/machine-key.ts");
    const { home, signal } = context;
    const options = { home, signal, clock: systemClock, environment: process.env };
    const made = await machineKey(options, name, credentials.name);
    showResult(context, made, () => [made.line]);
    if (context.json) return;
    context.notify(`this line of ${name} goes into authorization.users of nats-server's configuration`);
    if (made.made) await applySecret(context, "the running daemon signs in with the new key");
  },
});

export const FLEET_COMMANDS: GroupedCommands = {
  group: {
    name: "fleet",
    summary: "connect several machines",
    description: "Over NATS. See docs/reference/fleet.md.",
    examples: { "mountaineer fleet status": "see all machines" },
  },
  commands: [fleetStatusCommand, fleetKeyCommand],
};
