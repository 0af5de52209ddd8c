// The command `mountaineer config get`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";
import { FAILED_EXIT } from "../../views/results-view.ts";
import { addKeyArgument } from "./key-argument.ts";

export const configGetCommand: CommandDefinition = {
  name: "config get",
  summary: "print what holds for one key",
  description:
    "Its value in the file, else its default. Texts are printed bare, everything else as TOML writes it.",
  examples: [
    { command: "mountaineer config get global.check_interval_secs", does: "how often the daemon looks" },
    { command: "mountaineer config get shares.CORE.thunderbolt_host", does: "of one share, by its name" },
    { command: "mountaineer config get lsof-recheck", does: "by a short name" },
  ],
  exits: { 1: "the file does not say, and there is no default" },
  addOptions(command) {
    addKeyArgument(command);
    addJsonOption(command);
  },
  async run(context, options, [key = ""]) {
    const { viewConfig } = await import("../../sessions/config-session.ts");
    const { parseConfigKey } = await import("../../../config/edit/key-path.ts");
    const { getConfigValue } = await import("../../../config/edit/effective.ts");
    const { jsonText, valueText } = await import("../../edits/config-value-text.ts");
    const known = parseConfigKey(key);
    const held = await viewConfig(context, async ({ read, format, place }) =>
      getConfigValue({ bytes: (await read()) ?? new Uint8Array(), format, place }, known),
    );
    const value = held.source === "absent" ? null : held.value;
    if (readFlag(options, "json")) context.print(jsonText({ key, source: held.source, value }));
    else if (value !== null) context.print(`${valueText(value)}\n`);
    else if (held.source === "absent") context.note(`it is not set: ${held.rule ?? "required"}`);
    return value === null ? FAILED_EXIT : 0;
  },
};
