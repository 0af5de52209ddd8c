// The command `mountaineer fleet status`.
import type { FleetMachine, FleetReport } from "../../../api/fleet-contract.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, showResult } from "../../input/options.ts";

export const fleetStatusCommand: CommandDefinition = {
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
    const { askDaemon } = await import("../../sessions/control-session.ts");
    const purpose = { intent: "look", so: "and nobody else knows of the other machines" } as const;
    const whole = await askDaemon(context, purpose, "fleet", null);
    const isChosen = names.length > 0;
    const report = isChosen ? { ...whole, machines: machinesOf(whole, names) } : whole;
    const { renderFleet } = await import("../../views/fleet-view.ts");
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
