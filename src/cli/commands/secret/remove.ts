// The command `mountaineer secret remove`.
import { Argument } from "commander";
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";
import { parseSecretName } from "../../input/secret-name.ts";

export const secretRemoveCommand: CommandDefinition = {
  name: "secret remove",
  summary: "forget a secret",
  description:
    "Removes it from where it is kept. Mounts and backends that use it go on until they are started again.",
  examples: [{ command: "mountaineer secret remove nas", does: "forget it" }],
  exits: {},
  addOptions(command) {
    command.addArgument(new Argument("<name>", "as secret list shows it").argParser(parseSecretName));
    addJsonOption(command);
  },
  async run(context, options, [name = ""]) {
    const { openSecrets } = await import("../../in-process/open.ts");
    const { placeName } = await import("../../views/secret-view.ts");
    const { paintFor } = await import("../../views/terminal-style.ts");
    const change = await (await openSecrets(context)).remove(name, context.signal);
    if (readFlag(options, "json")) context.print(`${JSON.stringify(change, null, 2)}\n`);
    else {
      const paint = paintFor(context.stdoutStyle);
      context.print(`${paint.green(paint.symbols.good)} ${name} is removed: ${placeName(change.kept)}\n`);
    }
    return 0;
  },
};
