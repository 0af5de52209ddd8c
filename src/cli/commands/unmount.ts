// The command `mountaineer unmount`.
import { command } from "../input/command.ts";
import { JSON_OPTION, SHARE_OPTIONS } from "../input/options.ts";
import { runSteps, STEP_EXITS } from "../sessions/step-command.ts";

export const unmountCommand = command({
  name: "unmount",
  summary: "unmount shares and keep them unmounted",
  description:
    "Holds the share unmounted, over restarts too, until `mount` or `switch`. With files open or not yet sent it is " +
    "busy and stays mounted; --force goes on all the same and names them.",
  examples: {
    "mountaineer unmount --share CORE": "let go of one share",
    "mountaineer unmount --share CORE --force": "although files are open",
  },
  exits: STEP_EXITS,
  takes: {
    ...SHARE_OPTIONS,
    "--force": "although files are open or unsent; programs that use them get errors",
    ...JSON_OPTION,
  },
  run: (context, given) =>
    runSteps(context, given, "unmount", (ask, shares, signal) =>
      ask("unmount", { shares, force: given.force }, signal),
    ),
});
