// The command `mountaineer mount`.
import type { CommandDefinition } from "../input/command.ts";
import { addJsonOption, addShareOptions } from "../input/options.ts";
import { runSteps, STEP_EXITS } from "../sessions/step-command.ts";

export const mountCommand: CommandDefinition = {
  name: "mount",
  summary: "mount shares over the best route that answers",
  description:
    "A share that is mounted already is skipped. Ends what `unmount` holds: the daemon keeps it mounted again.",
  examples: [
    { command: "mountaineer mount", does: "mount all shares" },
    { command: "mountaineer mount --share CORE", does: "mount one" },
  ],
  exits: STEP_EXITS,
  addOptions(command) {
    addShareOptions(command);
    addJsonOption(command);
  },
  run: (context, options) =>
    runSteps(context, options, "mount", (ask, shares, signal) => ask("mount", { shares }, signal)),
};
