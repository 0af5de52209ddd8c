// The command `mountaineer unmount`.
import type { CommandDefinition } from "../input/command.ts";
import { addJsonOption, addShareOptions, readFlag } from "../input/options.ts";
import { runSteps, STEP_EXITS } from "../sessions/step-command.ts";

export const unmountCommand: CommandDefinition = {
  name: "unmount",
  summary: "unmount shares and keep them unmounted",
  description:
    "Holds the share unmounted, over restarts too, until `mount` or `switch`. With files open or not yet sent it is " +
    "busy and stays mounted; --force goes on all the same and names them.",
  examples: [
    { command: "mountaineer unmount --share CORE", does: "let go of one share" },
    { command: "mountaineer unmount --share CORE --force", does: "although files are open" },
  ],
  exits: STEP_EXITS,
  addOptions(command) {
    addShareOptions(command);
    command.option("--force", "although files are open or unsent; programs that use them get errors");
    addJsonOption(command);
  },
  run: (context, options) =>
    runSteps(context, options, "unmount", (ask, shares, signal) =>
      ask("unmount", { shares, force: readFlag(options, "force") }, signal),
    ),
};
