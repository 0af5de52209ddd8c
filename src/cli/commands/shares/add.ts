// The command `mountaineer shares add`.

import type { NewFavorite } from "../../edits/favorite-change.ts";
import type { CommandDefinition, GivenOptions } from "../../input/command.ts";
import { addJsonOption, readFlag, readText } from "../../input/options.ts";
import { STEP_EXITS } from "../../sessions/step-command.ts";

const KEYS: readonly (readonly [option: string, key: string])[] = [
  ["tbHost", "thunderbolt_host"],
  ["fallbackHost", "fallback_host"],
  ["username", "username"],
  ["remoteShare", "share_name"],
  ["password", "password"],
  ["tbPath", "thunderbolt_path"],
  ["fallbackPath", "fallback_path"],
];

export const sharesAddCommand: CommandDefinition = {
  name: "shares add",
  summary: "add a share to the configuration and mount it",
  description:
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
      .requiredOption("--share <name>", "what it is called here")
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
    const { addFavorite } = await import("../../edits/favorite-change.ts");
    const { exitCodeOf, FAILED_EXIT, renderResults } = await import("../../views/results-view.ts");
    const added = await addFavorite(context, entryOf(options));
    const { share } = added;
    if (readFlag(options, "json")) context.print(`${JSON.stringify(added, null, 2)}\n`);
    else if (share !== null) context.print(renderResults([share], context.stdoutStyle));
    if (share === null) return FAILED_EXIT;
    const exit = exitCodeOf([share], "mount");
    if (exit !== 0) context.note("it is saved all the same; mountaineer status says how it goes on");
    return exit;
  },
};

function entryOf(options: GivenOptions): NewFavorite {
  const given = KEYS.flatMap(([option, key]) => {
    const text = readText(options, option);
    return text === null ? [] : [[key, text] as const];
  });
  return { name: readText(options, "share") ?? "", ...Object.fromEntries(given) };
}
