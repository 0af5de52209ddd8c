// The command `mountaineer program install`.
import { resolve } from "node:path";
import { command, type GroupedCommands } from "../input/command.ts";
import { showResult } from "../input/options.ts";

const programInstallCommand = command("program install", {
  summary: "take the program that mounts shares from a file",
  description:
    "For an installation without one: packages bring it, and `npm run mount` builds it in a clone. Shares use it from their next mount on.",
  examples: {
    "mountaineer program install ./mountaineer-fs": "use the one that you built on another machine",
  },
  takes: { "<file>": "a mountaineer-fs for this machine" },
  async run(context, { file }) {
    const { installProgram } = await import("../../mount-program/install.ts");
    const installed = await installProgram(context.home, resolve(file), context.signal);
    const { version, program } = installed;
    showResult(
      context,
      installed,
      () => `mountaineer-fs ${version} is installed: ${program}
`,
    );
  },
});

export const PROGRAM_COMMANDS: GroupedCommands = {
  group: {
    name: "program",
    summary: "install the program that mounts shares",
    description: "Mountaineer-fs mounts shares: the installation's, else the one in the home.",
    examples: { "mountaineer program install ./mountaineer-fs": "take one into the home" },
  },
  commands: [programInstallCommand],
};
