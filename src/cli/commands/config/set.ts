// The command `mountaineer config set`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";
import { EDIT_EXITS } from "./edit-exits.ts";
import { addKeyArgument } from "./key-argument.ts";

export const configSetCommand: CommandDefinition = {
  name: "config set",
  summary: "set one key in the configuration file",
  description:
    "Every other byte of the file stays as it is. The result is checked as a whole before it is written, and a " +
    "running daemon applies it at once. A value that begins with - comes after --.",
  examples: [
    { command: "mountaineer config set global.check_interval_secs 0.5", does: "look twice a second" },
    { command: "mountaineer config set lsof-recheck off", does: "do not look for open files on every check" },
    { command: "mountaineer config set shares.CORE.fallback_host 192.168.1.30", does: "change a share" },
  ],
  exits: EDIT_EXITS,
  addOptions(command) {
    addKeyArgument(command);
    command.argument("<value>", "as TOML writes it, else taken as a text; on and off for true and false");
    addJsonOption(command);
  },
  async run(context, options, [key = "", value = ""]) {
    const { setKey } = await import("../../edits/config-key-change.ts");
    return setKey(context, { key, value }, readFlag(options, "json"));
  },
};
