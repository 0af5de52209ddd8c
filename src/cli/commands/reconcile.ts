// The command `mountaineer reconcile`.
import type { CommandDefinition } from "../input/command.ts";
import { addJsonOption, addShareOptions } from "../input/options.ts";
import { runSteps, STEP_EXITS } from "../sessions/step-command.ts";

export const reconcileCommand: CommandDefinition = {
  name: "reconcile",
  summary: "run one cycle now and bring every share where it should be",
  description:
    "What the daemon does at each tick: look, decide, act, until there is nothing more to do at once.",
  examples: [
    { command: "mountaineer reconcile", does: "put everything in order, without a daemon too" },
    { command: "mountaineer reconcile --share CORE --share MEDIA", does: "only these two" },
  ],
  exits: STEP_EXITS,
  addOptions(command) {
    addShareOptions(command);
    addJsonOption(command);
  },
  run: (context, options) =>
    runSteps(context, options, "reconcile", (ask, shares, signal) => ask("reconcile", { shares }, signal)),
};
