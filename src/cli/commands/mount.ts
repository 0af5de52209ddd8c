// The command `mountaineer mount`.
import { command } from "../input/command.ts";
import { JSON_OPTION, SHARE_OPTIONS } from "../input/options.ts";
import { runSteps, STEP_EXITS } from "../sessions/step-command.ts";

export const mountCommand = command({
  name: "mount",
  summary: "mount shares over the best route that answers",
  description:
    "A share that is mounted already is skipped. Ends what `unmount` holds: the daemon keeps it mounted again.",
  examples: {
    "mountaineer mount": "mount all shares",
    "mountaineer mount --share CORE": "mount one",
  },
  exits: STEP_EXITS,
  takes: {
    ...SHARE_OPTIONS,
    ...JSON_OPTION,
  },
  run: (context, given) =>
    runSteps(context, given, "mount", (ask, shares, signal) => ask("mount", { shares }, signal)),
});
