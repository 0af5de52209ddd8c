// The commands `mountaineer rclone ...`.

import { resolve } from "node:path";
import { command, type GroupedCommands } from "../input/command.ts";
import { JSON_OPTION, showResult } from "../input/options.ts";

const rcloneInstallCommand = command({
  name: "rclone install",
  summary: "take rclone's official release into the home",
  description:
    "Downloads the release that this version of Mountaineer pins, for this machine, from downloads.rclone.org, or takes an " +
    "archive that you downloaded; its SHA-256 must be the pinned one. From its next mount on each share uses it instead of " +
    "the system's. Versions lie side by side in the home's folder rclone; none is removed. Without this command nothing is fetched.",
  examples: {
    "mountaineer rclone install": "download it",
    "mountaineer rclone install ./rclone.zip": "take an archive that is here already",
  },
  exits: {},
  takes: {
    "[file]": "rclone's archive, as its site offers it",
    ...JSON_OPTION,
  },
  async run(context, { file }) {
    const { installRclone } = await import("../../rclone-release/install.ts");
    const { home, signal } = context;
    const installed = await installRclone({ home, file: file === null ? null : resolve(file), signal });
    showResult(context, installed, () => `rclone ${installed.version} is installed: ${installed.program}\n`);
    if (!context.json) context.note("each share uses it from its next mount on");
    return 0;
  },
});

export const RCLONE_COMMANDS: GroupedCommands = {
  group: {
    name: "rclone",
    summary: "a newer rclone than the system's",
    description:
      "The driver rclone mounts with the one in the home, if there is one, else with the system's.",
    examples: { "mountaineer rclone install": "take the official release into the home" },
  },
  commands: [rcloneInstallCommand],
};
