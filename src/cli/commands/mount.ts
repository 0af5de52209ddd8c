// The commands that act on shares: `mount`, `unmount`, `verify`, `reconcile` and `unsent`.

import type { UnsentServer } from "../../api/contract/contract.ts";
import type { OutputOf } from "../../api/operations/operations.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { pluralize } from "../../runtime/text/plain-text.ts";
import { command } from "../input/command.ts";
import { chosenShares, SHARE_OPTIONS, showResult } from "../input/options.ts";
import { change, show } from "../sessions/control-session.ts";
import { leaveFolder, runSteps, STEP_EXITS } from "../sessions/step-command.ts";
import { FAILED_EXIT, renderVerify } from "../views/results-view.ts";

export const mountCommand = command("mount", {
  takesUrl: true,
  summary: "mount shares over the best route that answers",
  description:
    "Skips shares that are mounted already. Cancels an earlier `unmount`: the daemon keeps the share mounted " +
    "again.",
  examples: {
    "mountaineer mount": "mount all shares",
    "mountaineer mount --share CORE": "mount one",
  },
  exits: STEP_EXITS,
  takes: SHARE_OPTIONS,
  run: (context, given) =>
    runSteps(context, given, (call, shares, signal) => call("mount", { shares }, signal)),
});

export const wakeCommand = command("wake", {
  takesUrl: true,
  summary: "wake the NAS of shares (Wake-on-LAN), and wait until it answers",
  description:
    "Sends three packets to the hardware address recorded while the NAS answered, on the link it shares with this " +
    "machine. The NAS has a minute to answer; the daemon then mounts the waiting shares.",
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
    "The share stays unmounted, even after a restart, until `mount` or `switch`. With open or unsent files it is " +
    "busy and stays mounted; --force unmounts it anyway, and names the files.",
  examples: {
    "mountaineer unmount --share CORE": "unmount one share",
    "mountaineer unmount --share CORE --force": "even if files are open",
  },
  exits: STEP_EXITS,
  takes: {
    ...SHARE_OPTIONS,
    "--force": "even if files are open or unsent; programs that use them get errors",
  },
  run: (context, given) =>
    runSteps(context, given, (call, shares, signal) =>
      call("unmount", { shares, force: given.force }, signal),
    ),
});

export const reconcileCommand = command("reconcile", {
  takesUrl: true,
  summary: "run one check now and put every share where it should be",
  description:
    "Does the daemon's regular work once: checks, decides and acts until nothing is left to do now.",
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
  description:
    "Probes every host and reads every mount now, instead of showing the last known state. Changes nothing.",
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

export const unsentCommand = command("unsent", {
  takesUrl: true,
  summary: "show files that are not on their server yet, and decide about them",
  description:
    "Writes wait on this machine for the server they were made for. If that server never returns, or the " +
    "server that answers is not proved, you decide.",
  examples: {
    "mountaineer unsent": "how many, how old, and for which server",
    "mountaineer unsent --share CORE --send-here": "send them to the server that is mounted now",
    "mountaineer unsent --share CORE --set-aside": "move them to a folder of this machine",
  },
  exits: { 1: "not possible now; nothing was changed" },
  takes: {
    "--share <name>": { about: "the share; needed to decide", completes: "shares" },
    "--server <id>": "the server they were written for; needed if files wait for several",
    "--send-here": "send them to the server that is mounted now, over files of the same names",
    "--set-aside": "never send them: move them to the share's set-aside folder",
  },
  async run(context, { share, server, sendHere, setAside }) {
    if (sendHere && setAside) throw new MountaineerError("usage", "--send-here or --set-aside, not both");
    const what = sendHere ? "send_here" : setAside ? "set_aside" : "show";
    if (what !== "show" && share === null) throw new MountaineerError("usage", "name the share: --share");
    leaveFolder();
    const request = { share, server, what } as const;
    const report = await (what === "show" ? show : change)(context, "unsent", request);
    showResult(context, report, () => renderUnsent(report));
  },
});

function renderUnsent({ servers }: OutputOf<"unsent">): string {
  if (servers.length === 0) return "everything is on its server\n";
  return servers.map((server) => `${serverLines(server).join("\n")}\n`).join("\n");
}

const SHOWN_AT_MOST = 20;

function serverLines({
  share,
  server,
  source,
  in_use,
  proved,
  files,
  oldest,
  folder,
}: UnsentServer): string[] {
  const state = in_use
    ? "being sent"
    : proved
      ? "waits for its server"
      : "waits for your decision: its server is not proved";
  const more = files.length - SHOWN_AT_MOST;
  return [
    `${share}: ${pluralize(files.length, "file")} for ${source ?? "a server"} (${server}), ${state}`,
    ...(oldest === null ? [] : [`  the oldest was written at ${oldest}`]),
    ...files.slice(0, SHOWN_AT_MOST).map(({ path, bytes }) => `  ${path} (${bytes} bytes)`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    `  kept in ${folder}`,
  ];
}
