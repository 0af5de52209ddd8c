// The command `mountaineer switch`.
import { Option } from "commander";
import { MountaineerError } from "../../runtime/errors.ts";
import type { CommandDefinition } from "../input/command.ts";
import { addJsonOption, addShareOptions, readFlag, SWITCH_TARGETS } from "../input/options.ts";
import { runSteps, STEP_EXITS } from "../sessions/step-command.ts";

export const switchCommand: CommandDefinition = {
  name: "switch",
  summary: "move shares to a route by hand, or back to the rules",
  description:
    "tb switches at once if the Thunderbolt host answers, else changes nothing. fallback switches and holds the " +
    "share there, over restarts too. auto ends that and lets the rules go on. With files open it is busy; --wait " +
    "waits for them, --force does not care.",
  examples: [
    { command: "mountaineer switch --share CORE --to tb", does: "back to Thunderbolt now" },
    { command: "mountaineer switch --share CORE --to tb --wait", does: "as soon as open files are closed" },
    { command: "mountaineer switch --to fallback", does: "all shares to fallback, before pulling the cable" },
    { command: "mountaineer switch --to auto", does: "let the rules decide again" },
  ],
  exits: STEP_EXITS,
  addOptions(command) {
    addShareOptions(command);
    command
      .addOption(new Option("--to <route>", "where to").choices(SWITCH_TARGETS).makeOptionMandatory())
      .addOption(
        new Option(
          "--force",
          "although files are open or unsent; programs that use them get errors",
        ).conflicts("wait"),
      )
      .option("--wait", "wait until open files are closed; Ctrl-C gives up");
    addJsonOption(command);
  },
  run(context, options) {
    const { to: given } = options;
    const to = SWITCH_TARGETS.find((target) => target === given);
    if (to === undefined) throw new MountaineerError("usage", "switch needs --to");
    const request = { to, force: readFlag(options, "force"), wait: readFlag(options, "wait") };
    return runSteps(context, options, "switch", (control, selection, signal) =>
      control.switchRoute(selection, request, signal),
    );
  },
};
