// The command `mountaineer fleet status`.
import { MountaineerError } from "../../../runtime/errors.ts";
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, showResult } from "../../input/options.ts";

export const fleetStatusCommand: CommandDefinition = {
  name: "fleet status",
  summary: "show the machines of the fleet, and how each is",
  description:
    "Asks the running daemon what it has heard of the others: their shares and routes, their backends, what is wrong there, " +
    "and since when a machine has been silent.",
  examples: [
    { command: "mountaineer fleet status", does: "see all machines" },
    {
      command: `mountaineer fleet status --json | jq -r '.machines[] | select(.presence != "here") | .name'`,
      does: "name those that are not there",
    },
  ],
  exits: { 0: "it could answer, however things are", 1: "no fleet is configured", 8: "no daemon runs" },
  addOptions: addJsonOption,
  async run(context, options) {
    const { withDaemonOr } = await import("../../sessions/control-session.ts");
    const report = await withDaemonOr(
      context,
      "look",
      (daemon) => daemon.fleet(context.signal),
      () => Promise.reject(noDaemon()),
    );
    const { renderFleet } = await import("../../views/fleet-view.ts");
    showResult(context, options, report, () =>
      renderFleet(report, { ...context.stdoutStyle, now: Date.now() }),
    );
    return 0;
  },
};

function noDaemon(): MountaineerError {
  const message = "no daemon runs for this home, and nobody else knows of the other machines";
  return new MountaineerError("daemon_unreachable", message, { hint: "mountaineer monitor starts one" });
}
