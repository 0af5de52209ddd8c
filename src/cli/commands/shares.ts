// The commands `mountaineer shares ...`.

import { MountaineerError } from "../../runtime/errors.ts";
import { printable, shellCommand } from "../../runtime/text/plain-text.ts";
import type { NewShare, RemovedShare } from "../edits/share-change.ts";
import { findServers } from "../in-process/open.ts";
import { type CommandContext, command, type GroupedCommands, type ParsedInput } from "../input/command.ts";
import { doneLine, showResult } from "../input/options.ts";
import { STEP_EXITS } from "../sessions/step-command.ts";
import { exitCodeOf, FAILED_EXIT, renderResults } from "../views/results-view.ts";
import { sharesListCommand } from "./shares-list.ts";

const sharesDiscoverCommand = command("shares discover", {
  summary: "find the SMB servers in your network",
  description:
    "Asks on this machine's links for two seconds (DNS-SD, WS-Discovery), and adds servers that it has met or mounted. Scans nothing, sends no password. Names are not verified.",
  examples: { "mountaineer shares discover": "see your NAS's addresses" },
  exits: { 0: "the search ran" },
  async run(context) {
    const { renderServers } = await import("../views/server-view.ts");
    const servers = await findServers(context.signal);
    showResult(context, { servers }, () => renderServers(servers, context.stdoutStyle));
    if (servers.length === 0)
      context.notify("no server answered; mountaineer init takes an address that you type");
  },
});

const NEW_SHARE = {
  "--share <name>": "what it is called here",
  "--nas <name>": "its NAS, [nas.NAME]; without hosts: the only one",
  "--tb-host <host>": "the server's address on the fast route; :port unless it is 445",
  "--fallback-host <host>": "the same server's address on the other route",
  "--username <name>": "the user on the server; default: your login name",
  "--remote-share <name>": "the share's name on the server; default: as --share",
  "--password <reference>": "${VARIABLE} or secret:NAME; default: log in as guest",
  "--tb-path <folder>": "driver local: the folder of the fast route",
  "--fallback-path <folder>": "driver local: the folder of the other route",
} as const;

const sharesAddCommand = command("shares add", {
  takesUrl: true,
  summary: "add a share to the configuration and mount it",
  description:
    "At a terminal, without options, it offers the shares of your NAS. On a configured NAS a share needs only its name. Returns when it is mounted, or with the reason why not. Passwords are refused: name a variable or a stored secret.",
  examples: {
    "mountaineer shares add --share MEDIA": "one more of the NAS",
    "mountaineer shares add --share ARCHIVE --tb-host 10.10.10.1 --fallback-host nas.local --username ann --password '${ARCHIVE_PASSWORD}'":
      "add one, over SMB",
  },
  exits: {
    ...STEP_EXITS,
    0: "it is mounted",
    1: "it is saved, but not mounted",
    2: "the server has no share of that name; nothing was written",
  },
  takes: { ...NEW_SHARE, "--anyway": "save it even if the server says that it has no such share" },
  async run(context, given) {
    const { addShare } = await import("../edits/share-change.ts");
    let worst = 0;
    const { shares, onlyOn } = await entriesOf(context, given);
    for (const entry of shares) {
      const added = await addShare(context, entry, onlyOn, given.anyway);
      const { share } = added;
      showResult(context, added, () => (share === null ? "" : renderResults([share], context.stdoutStyle)));
      const exit = share === null ? FAILED_EXIT : exitCodeOf([share], "mount");
      if (share !== null && exit !== 0)
        context.notify("the share is saved although it is not mounted; mountaineer status shows its state");
      worst = Math.max(worst, exit);
    }
    return worst;
  },
});

/** The share that the options describe; without options, the shares that a person chooses. */
async function entriesOf(
  context: CommandContext,
  given: ParsedInput<typeof NEW_SHARE>,
): Promise<{ readonly shares: readonly NewShare[]; readonly onlyOn: readonly string[] }> {
  const { prompt } = context;
  const entry = entryOf(given);
  if (entry.name !== "") return { shares: [entry], onlyOn: [] };
  if (prompt === null || Object.keys(entry).length > 1 || context.remote !== null) {
    throw new MountaineerError("usage", "an option is missing", { hint: "--share names the share" });
  }
  const { promptMoreShares } = await import("../init/more-shares.ts");
  return promptMoreShares(context, prompt);
}

/** The given options as keys of the configuration file. */
function entryOf(given: ParsedInput<typeof NEW_SHARE>): NewShare {
  const keys = {
    nas: given.nas,
    thunderbolt_host: given.tbHost,
    fallback_host: given.fallbackHost,
    username: given.username,
    share_name: given.remoteShare,
    password: given.password,
    thunderbolt_path: given.tbPath,
    fallback_path: given.fallbackPath,
  };
  const set = Object.entries(keys).filter(([, text]) => text !== null);
  return { name: given.share ?? "", ...Object.fromEntries(set) };
}

const sharesRemoveCommand = command("shares remove", {
  takesUrl: true,
  summary: "remove a share from the configuration",
  description:
    "Also unmounts it and removes its link; with open files, the mount stays until `mountaineer unmount`. Nothing on the server changes.",
  examples: { "mountaineer shares remove --share MEDIA": "with its mount and its link" },
  exits: {
    0: "it is removed; if its mount stays, it says so",
    1: "the changed file could not be applied; with --cleanup: it could not be unmounted, nothing was changed",
    2: "there is no such share, or aliases lead into it",
    7: "with --cleanup: files are open; nothing was changed",
  },
  takes: {
    "--share <name>": { about: "the share", isRequired: true, completes: "shares" },
    "--cleanup": "change nothing if it cannot be unmounted",
    "--with-aliases": "also remove the aliases that lead into it",
    "--force": { about: "unmount it even if files are open", implies: { cleanup: true } },
  },
  async run(context, given) {
    const { isUnmounted, removeShare } = await import("../edits/share-change.ts");
    const removed = await removeShare(context, given);
    const { share, unmount } = removed;
    showResult(context, removed, (paint) =>
      [
        unmount === null ? "" : renderResults([unmount], context.stdoutStyle),
        removed.removed ? `${doneLine(paint, removedText(removed))}\n` : "",
      ].join(""),
    );
    if (removed.link === "kept" && !context.json)
      context.notify("Mountaineer did not make what is at the link's path, so that stays");
    if (removed.removed && unmount !== null && !isUnmounted(unmount))
      context.notify(`it stays mounted until: ${shellCommand`mountaineer unmount --share ${share}`}`);
    if (!removed.runs) return FAILED_EXIT;
    return removed.removed || unmount === null ? 0 : exitCodeOf([unmount], "unmount");
  },
});

function removedText({ share, aliases }: RemovedShare): string {
  const also = aliases.length === 0 ? "" : ` with its aliases ${aliases.map(printable).join(", ")}`;
  return `${printable(share)} is removed${also}`;
}

const sharesSwapCommand = command("shares swap", {
  takesUrl: true,
  summary: "exchange the addresses of the preferred route and the fallback",
  description:
    "For addresses in the wrong order. Where the mount moves between routes, it and open files stay.",
  examples: { "mountaineer shares swap --nas nas": "for every share on this NAS" },
  exits: {
    0: "they are exchanged",
    1: "the changed file could not be applied",
    2: "there is no such share or NAS",
  },
  takes: {
    "[name]": { about: "a share that has its own addresses", completes: "shares", conflicts: ["nas"] },
    "--nas <name>": "a NAS, by its name in [nas.NAME]",
  },
  async run(context, { name, nas }) {
    if (name === null && nas === null)
      throw new MountaineerError("usage", "an argument is missing", { hint: "name a share, or --nas NAME" });
    const { swapRoutes } = await import("../edits/swap-routes.ts");
    const swapped = await swapRoutes(context, { share: name, nas });
    showResult(
      context,
      swapped,
      (paint) => `${doneLine(paint, `${printable(swapped.preferred)} is preferred now`)}\n`,
    );
    return swapped.runs ? 0 : FAILED_EXIT;
  },
});

export const SHARES_COMMANDS: GroupedCommands = {
  group: {
    name: "shares",
    alias: "favorites",
    summary: "list, add and remove shares",
    description:
      "The [[shares]] of the configuration. For a new address: `mountaineer config set nas.NAME.fallback_host ADDRESS`.",
    examples: {
      "mountaineer shares list": "see which shares there are",
      "mountaineer shares remove --share MEDIA": "let go of one for good",
    },
  },
  commands: [
    sharesListCommand,
    sharesDiscoverCommand,
    sharesAddCommand,
    sharesRemoveCommand,
    sharesSwapCommand,
  ],
};
