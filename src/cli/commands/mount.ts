// The commands that act on shares: `mount`, `unmount`, `verify` and `reconcile`.

import { MountaineerError } from "../../runtime/errors.ts";
import { command } from "../input/command.ts";
import { chosenShares, SHARE_OPTIONS, showResult } from "../input/options.ts";
import { show } from "../sessions/control-session.ts";
import { runSteps, STEP_EXITS } from "../sessions/step-command.ts";
import { FAILED_EXIT, renderVerify } from "../views/results-view.ts";

export const mountCommand = command("mount", {
  takesUrl: true,
  summary: "mount shares over the best route that answers",
  description: "Cancels an earlier `unmount`: the daemon keeps the share mounted again.",
  examples: {
    "mountaineer mount": "mount all shares",
    "mountaineer mount --share CORE": "mount one",
    "mountaineer mount --share CORE --new-server": "your NAS was replaced: accept the new one",
  },
  exits: STEP_EXITS,
  takes: {
    ...SHARE_OPTIONS,
    "--new-server": "accept another server than the recorded one",
  },
  run: (context, given) => {
    if (given.newServer && given.share.length === 0)
      throw new MountaineerError("usage", "name the share whose NAS is new: --share");
    return runSteps(context, given, (call, shares, signal) =>
      call("mount", { shares, ...(given.newServer ? { new_server: true } : {}) }, signal),
    );
  },
});

export const wakeCommand = command("wake", {
  takesUrl: true,
  summary: "wake the NAS of shares (Wake-on-LAN), and wait until it answers",
  description:
    "Sends three packets to the hardware address recorded while the NAS answered. The NAS has a minute to " +
    "answer; the daemon then mounts the waiting shares.",
  examples: {
    "mountaineer wake": "wake all of them",
    "mountaineer wake --share CORE": "wake one",
  },
  exits: STEP_EXITS,
  takes: SHARE_OPTIONS,
  run: (context, given) =>
    runSteps(context, given, (call, shares, signal) => call("wake", { shares }, signal)),
});

export const unmountCommand = command("unmount", {
  takesUrl: true,
  summary: "unmount shares and keep them unmounted",
  description:
    "The share stays unmounted, even after a restart, until `mount` or `switch`. With open files it is busy " +
    "and stays mounted.",
  examples: {
    "mountaineer unmount --share CORE": "unmount one share",
    "mountaineer unmount --share CORE --force": "even if files are open",
  },
  exits: STEP_EXITS,
  takes: {
    ...SHARE_OPTIONS,
    "--force": "even if files are open; programs that use them get errors",
  },
  run: (context, given) =>
    runSteps(context, given, (call, shares, signal) =>
      call("unmount", { shares, force: given.force }, signal),
    ),
});

export const reconcileCommand = command("reconcile", {
  takesUrl: true,
  summary: "run one check now and put every share where it should be",
  description: "As the daemon regularly does.",
  examples: {
    "mountaineer reconcile": "put everything in order, also without a daemon",
    "mountaineer reconcile --share CORE --share MEDIA": "only these two",
  },
  exits: STEP_EXITS,
  takes: SHARE_OPTIONS,
  run: (context, given) =>
    runSteps(context, given, (call, shares, signal) => call("reconcile", { shares }, signal)),
});

export const verifyCommand = command("verify", {
  takesUrl: true,
  summary: "check everything now and show what is wrong",
  description: "Probes every host and reads every mount. Changes nothing.",
  examples: {
    "mountaineer verify": "check all shares",
    "mountaineer verify --login": "also check that each NAS accepts your login",
    "mountaineer verify --share CORE --json": "check one, for a script",
  },
  exits: { 0: "nothing is wrong, or there are only warnings", 1: "there is an error" },
  takes: {
    ...SHARE_OPTIONS,
    "--login": "also log in to each NAS once; a refused login may count towards a lockout",
  },
  async run(context, { share, login }) {
    const shares = chosenShares(share);
    const request = { shares, ...(login ? { login } : {}) };
    const report = await show(context, "verify", request);
    showResult(context, report, () => renderVerify(report, context.stdoutStyle));
    return report.ok ? 0 : FAILED_EXIT;
  },
});
