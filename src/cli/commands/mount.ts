// The commands `mountaineer mount`, `unmount`, `reconcile` and `verify`: of all shares, or of those that are named.
import { command } from "../input/command.ts";
import { chosenShares, JSON_OPTION, SHARE_OPTIONS, showResult } from "../input/options.ts";
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

export const verifyCommand = command({
  name: "verify",
  summary: "look at everything afresh and say what is wrong",
  description:
    "Probes every host and reads every mount now, rather than telling what was last seen. Changes nothing.",
  examples: {
    "mountaineer verify": "check all shares",
    "mountaineer verify --share CORE --json": "check one, for a script",
  },
  exits: { 1: "something is wrong" },
  takes: {
    ...SHARE_OPTIONS,
    ...JSON_OPTION,
  },
  async run(context, { share }) {
    const { askEngine } = await import("../sessions/control-session.ts");
    const { FAILED_EXIT, renderVerify } = await import("../views/results-view.ts");
    const shares = chosenShares(share);
    const report = await askEngine(context, { intent: "look", command: "verify" }, "verify", { shares });
    showResult(context, report, () => renderVerify(report, context.stdoutStyle));
    return report.ok ? 0 : FAILED_EXIT;
  },
});
