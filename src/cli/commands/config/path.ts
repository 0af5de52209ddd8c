// The command `mountaineer config path`.
import type { CommandDefinition } from "../../input/command.ts";

export const configPathCommand: CommandDefinition = {
  name: "config path",
  summary: "print where the configuration file is",
  description: "The running daemon's; without one, the file that it would use, whether it exists or not.",
  examples: [{ command: 'less "$(mountaineer config path)"', does: "read it" }],
  exits: {},
  addOptions() {},
  async run(context) {
    const { viewConfig } = await import("../../sessions/config-session.ts");
    context.print(`${await viewConfig(context, async ({ path }) => path)}\n`);
    return 0;
  },
};
