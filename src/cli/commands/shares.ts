// The commands `mountaineer shares ...`.

import { Option } from "commander";
import { MountaineerError } from "../../runtime/errors.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import type { NewFavorite, RemovedFavorite } from "../edits/favorite-change.ts";
import type { CommandContext, CommandDefinition, GivenOptions, GroupedCommands } from "../input/command.ts";
import { addJsonOption, readFlag, readText } from "../input/options.ts";
import { STEP_EXITS } from "../sessions/step-command.ts";
import { paintFor } from "../views/terminal-style.ts";
import { sharesDiscoverCommand } from "./shares-discover.ts";
import { sharesListCommand } from "./shares-list.ts";

const KEYS: readonly (readonly [option: string, key: string])[] = [
  ["tbHost", "thunderbolt_host"],
  ["fallbackHost", "fallback_host"],
  ["username", "username"],
  ["remoteShare", "share_name"],
  ["password", "password"],
  ["tbPath", "thunderbolt_path"],
  ["fallbackPath", "fallback_path"],
];

const sharesAddCommand: CommandDefinition = {
  name: "shares add",
  summary: "add a share to the configuration and mount it",
  description:
    "At a terminal, with nothing given, it lists the shares of your NAS that are not configured yet. " +
    "Returns when it is mounted, or when it is known why not; it is saved all the same, and a daemon goes on trying. " +
    "A password itself is refused: name an environment variable or a kept secret. In place of the hosts, " +
    "--tb-path and --fallback-path add a share of driver local.",
  examples: [
    {
      command:
        "mountaineer shares add --share ARCHIVE --tb-host 10.10.10.1 --fallback-host nas.local --username ann " +
        "--password '${ARCHIVE_PASSWORD}'",
      does: "add one, over SMB",
    },
  ],
  exits: { ...STEP_EXITS, 0: "it is mounted", 1: "it is saved, and not mounted" },
  addOptions(command) {
    command
      .option("--share <name>", "what it is called here")
      .option("--tb-host <host>", "the server over the fast route; :port unless it is 445")
      .option("--fallback-host <host>", "the same server over the other route")
      .option("--username <name>", "the user on the server; default: your login name")
      .option("--remote-share <name>", "what the server calls the share; default: as --share")
      .option(
        "--password <reference>",
        "${VARIABLE} or secret:NAME; without it the share is mounted as guest",
      )
      .option("--tb-path <folder>", "driver local: the folder of the fast route")
      .option("--fallback-path <folder>", "driver local: the folder of the other route");
    addJsonOption(command);
  },
  async run(context, options) {
    const { addFavorite } = await import("../edits/favorite-change.ts");
    const { exitCodeOf, FAILED_EXIT, renderResults } = await import("../views/results-view.ts");
    let worst = 0;
    for (const entry of await entriesOf(context, options)) {
      const added = await addFavorite(context, entry);
      const { share } = added;
      if (readFlag(options, "json")) context.print(`${JSON.stringify(added, null, 2)}\n`);
      else if (share !== null) context.print(renderResults([share], context.stdoutStyle));
      const exit = share === null ? FAILED_EXIT : exitCodeOf([share], "mount");
      if (share !== null && exit !== 0)
        context.note("it is saved all the same; mountaineer status says how it goes on");
      worst = Math.max(worst, exit);
    }
    return worst;
  },
};

/** What the options say; without any, what a person says. */
async function entriesOf(context: CommandContext, options: GivenOptions): Promise<readonly NewFavorite[]> {
  const { ask } = context;
  const given = entryOf(options);
  if (given.name !== "") return [given];
  if (ask === null || Object.keys(given).length > 1) {
    throw new MountaineerError("usage", "an option is missing", { hint: "--share names the share" });
  }
  const { askMoreShares } = await import("../init/more-shares.ts");
  return askMoreShares(context, ask);
}

function entryOf(options: GivenOptions): NewFavorite {
  const given = KEYS.flatMap(([option, key]) => {
    const text = readText(options, option);
    return text === null ? [] : [[key, text] as const];
  });
  return { name: readText(options, "share") ?? "", ...Object.fromEntries(given) };
}

const sharesRemoveCommand: CommandDefinition = {
  name: "shares remove",
  summary: "remove a share from the configuration",
  description:
    "What is mounted stays mounted, with nobody to look after it; --cleanup unmounts it first and removes its link, " +
    "and changes nothing when files are open. Aliases that lead into it are named, and go only by --with-aliases. " +
    "Nothing on the server is touched.",
  examples: [
    { command: "mountaineer shares remove --share MEDIA --cleanup", does: "with its mount and its link" },
  ],
  exits: {
    0: "it is removed",
    1: "it could not be unmounted, and nothing else was changed; or the file that lacks it does not run",
    2: "there is no such share, or aliases lead into it",
    7: "files are open or unsent; nothing was changed",
  },
  addOptions(command) {
    command
      .requiredOption("--share <name>", "the share")
      .option("--cleanup", "unmount it, and remove its link in shares_root")
      .option("--with-aliases", "remove the aliases that lead into it, too")
      .addOption(
        new Option("--force", "with --cleanup: although files are open or unsent").implies({ cleanup: true }),
      );
    addJsonOption(command);
  },
  async run(context, options) {
    const { removeFavorite } = await import("../edits/favorite-change.ts");
    const { exitCodeOf, FAILED_EXIT, renderResults } = await import("../views/results-view.ts");
    const removed = await removeFavorite(context, {
      share: readText(options, "share") ?? "",
      withAliases: readFlag(options, "withAliases"),
      cleanup: readFlag(options, "cleanup"),
      force: readFlag(options, "force"),
    });
    const { unmount } = removed;
    if (readFlag(options, "json")) context.print(`${JSON.stringify(removed, null, 2)}\n`);
    else {
      if (unmount !== null) context.print(renderResults([unmount], context.stdoutStyle));
      if (removed.removed) tell(context, removed);
    }
    if (!removed.runs) return FAILED_EXIT;
    return removed.removed || unmount === null ? 0 : exitCodeOf([unmount], "unmount");
  },
};

const sharesKernelCommand: CommandDefinition = {
  name: "shares kernel",
  summary: "mount a share with the kernel's own client",
  description:
    "For a user of Linux: faster than rclone, and programs can map files; locks are given up at each move " +
    "(docs/drivers.md). It takes one line in /etc/fstab, which is shown with the sudo command that writes it after a " +
    "yes; run again, it mounts the share so. No password is in that line.",
  examples: [
    { command: "mountaineer shares kernel CORE", does: "show the line; once it is there, mount with it" },
    {
      command: "mountaineer shares kernel CORE --undo",
      does: "mount with driver auto; then show how to remove the line",
    },
  ],
  exits: {
    ...STEP_EXITS,
    0: "it is mounted so, or the line is written or removed",
    1: "nothing was changed, as the line is missing or the answer was no; or it does not mount",
  },
  addOptions(command) {
    command
      .argument("<share>", "its name")
      .option("--undo", "back to driver auto")
      .option("--yes", "do not ask");
  },
  async run(context, options, [share = ""]) {
    const { kernelShare } = await import("../edits/kernel-share.ts");
    return kernelShare(context, share, { undo: readFlag(options, "undo"), yes: readFlag(options, "yes") });
  },
};

function tell(context: CommandContext, { share, aliases, link }: RemovedFavorite): void {
  const paint = paintFor(context.stdoutStyle);
  const also = aliases.length === 0 ? "" : ` with its aliases ${aliases.map(harmless).join(", ")}`;
  context.print(`${paint.green(paint.symbols.good)} ${harmless(share)} is removed${also}\n`);
  if (link === "kept") context.note("what stands in its link's place is not ours, and stays");
}

export const SHARES_COMMANDS: GroupedCommands = {
  group: {
    name: "shares",
    alias: "favorites",
    summary: "list, add and remove shares",
    description: "The [[shares]] of the configuration, which are kept mounted.",
    examples: [
      { command: "mountaineer shares list", does: "see which shares there are" },
      { command: "mountaineer shares remove --share MEDIA --cleanup", does: "let go of one for good" },
    ],
  },
  commands: [
    sharesListCommand,
    sharesDiscoverCommand,
    sharesAddCommand,
    sharesRemoveCommand,
    sharesKernelCommand,
  ],
};
