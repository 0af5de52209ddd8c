// The commands `mountaineer tools disable` and `tools enable`.
import { MountaineerError } from "../../../runtime/errors.ts";
import { harmless } from "../../../runtime/text/plain-text.ts";
import type { CommandContext, CommandDefinition, GivenOptions } from "../../input/command.ts";
import { addJsonOption, showResult } from "../../input/options.ts";

const ARGUMENT = ["<name...>", "tools, as tools list has them"] as const;

export const toolsDisableCommand: CommandDefinition = {
  name: "tools disable",
  summary: "switch tools off, for all clients",
  description:
    "They leave the lists at once, and who calls one is told that it is switched off; calls in flight finish. Remembered " +
    "until tools enable, whatever the server or the configuration becomes.",
  examples: [{ command: "mountaineer tools disable delete_file", does: "let no agent delete files" }],
  exits: { 2: "there is no such tool; nothing was changed", 8: "no daemon runs" },
  addOptions(command) {
    command.argument(...ARGUMENT);
    addJsonOption(command);
  },
  run: (context, options, names) => switchTools(context, options, names, false),
};

export const toolsEnableCommand: CommandDefinition = {
  name: "tools enable",
  summary: "switch tools on again",
  description: "Takes tools disable back. Filters, pins and policies hold as before.",
  examples: [{ command: "mountaineer tools enable delete_file", does: "let agents delete files again" }],
  exits: { 2: "there is no such tool; nothing was changed", 8: "no daemon runs" },
  addOptions(command) {
    command.argument(...ARGUMENT);
    addJsonOption(command);
  },
  run: (context, options, names) => switchTools(context, options, names, true),
};

async function switchTools(
  context: CommandContext,
  options: GivenOptions,
  tools: readonly string[],
  on: boolean,
): Promise<number> {
  if (tools.length === 0) throw new MountaineerError("usage", "no tool was named");
  const { askDaemon } = await import("../../sessions/control-session.ts");
  const { RUNNING_BACKENDS } = await import("../../sessions/gateway-session.ts");
  const request = { tools: [...tools], on };
  const report = await askDaemon(context, RUNNING_BACKENDS, "switchTools", request);
  const state = on ? "on" : "off";
  showResult(context, options, report, () =>
    tools
      .map((name) => `${harmless(name)} is ${report.switched.includes(name) ? "" : "already "}${state}\n`)
      .join(""),
  );
  return 0;
}
