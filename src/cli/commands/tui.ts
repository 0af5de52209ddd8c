// The command `mountaineer tui`. The live view's code is loaded when it runs.
import { MountaineerError } from "../../runtime/errors.ts";
import type { CommandDefinition } from "../input/command.ts";

export const tuiCommand: CommandDefinition = {
  name: "tui",
  summary: "watch and change how the configuration is kept in sync, live",
  description:
    "A live view of the running daemon: what became of each change of the configuration file, and the settings of " +
    "the section `sync`, saved into the file with every other byte kept. Waits for the daemon when it is not " +
    "running, and over its restarts. Tab walks the settings, Ctrl-S saves, Esc reverts, q leaves.",
  examples: [
    { command: "mountaineer tui", does: "look, and change settings" },
    { command: "NO_COLOR=1 mountaineer tui", does: "the same without colour" },
  ],
  exits: { 2: "it is not run on a terminal" },
  addOptions() {},
  async run({ home, configPath, stdoutStyle, signal }) {
    const { TERM } = process.env;
    if (!process.stdin.isTTY || !process.stdout.isTTY || TERM === "dumb") {
      throw new MountaineerError("usage", "tui needs a terminal that it can draw on and read keys from", {
        hint: "mountaineer status and mountaineer config show print the same without one",
      });
    }
    const { startTui } = await import("../../tui/start-tui.ts");
    await startTui({ home, configPath, style: stdoutStyle, signal });
    return 0;
  },
};
