// The command `mountaineer reconcile`.
import { command } from "../input/command.ts";
import { JSON_OPTION, SHARE_OPTIONS } from "../input/options.ts";
import { runSteps, STEP_EXITS } from "../sessions/step-command.ts";

export const reconcileCommand = command({
  name: "reconcile",
  summary: "run one cycle now and bring every share where it should be",
  description:
    "What the daemon does at each tick: look, decide, act, until there is nothing more to do at once.",
  examples: {
    "mountaineer reconcile": "put everything in order, without a daemon too",
    "mountaineer reconcile --share CORE --share MEDIA": "only these two",
  },
  exits: STEP_EXITS,
  takes: {
    ...SHARE_OPTIONS,
    ...JSON_OPTION,
  },
  run: (context, given) =>
    runSteps(context, given, "reconcile", (ask, shares, signal) => ask("reconcile", { shares }, signal)),
});
