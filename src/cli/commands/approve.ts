// The command `mountaineer approve`.
import { Option } from "commander";
import type { CommandDefinition } from "../input/command.ts";
import { addJsonOption, readFlag } from "../input/options.ts";

export const approveCommand: CommandDefinition = {
  name: "approve",
  summary: "see and approve changes of the configuration that wait for you",
  description:
    "A change that something else than Mountaineer made in the file waits here if it decides what runs ([trust] approve " +
    "says which else). What was approved before serves meanwhile. Shows each change beside what serves, asks, and " +
    "applies what you approve at once; without a daemon the next one finds it approved. --mode sets which changes wait " +
    "from now on, and is the only way to loosen that.",
  examples: [
    { command: "mountaineer approve", does: "look at each change that waits, and say yes or no" },
    { command: "mountaineer approve files", does: "only what waits of the backend files" },
    { command: "mountaineer approve --list", does: "see what waits, and change nothing" },
    { command: "mountaineer approve --mode none", does: "let every change of the file apply at once" },
  ],
  exits: { 1: "you said no, or it could not be applied", 2: "nothing of that name waits" },
  addOptions(command) {
    command
      .argument("[name...]", "an entry as --list shows it: files, backends.files, incoming_auth")
      .option("--all", "everything that waits, with one question")
      .option("--list", "only show what waits")
      .option("--yes", "do not ask")
      .addOption(
        new Option(
          "--mode <mode>",
          "which changes wait from now on; `default`: as the backends reach the home",
        )
          .choices(["commands", "all", "none", "default"])
          .conflicts(["all", "list"]),
      );
    addJsonOption(command);
  },
  async run(context, options, names) {
    const { approveEntries, listEntries, setApproveMode } = await import("../edits/approve-entries.ts");
    const manner = { json: readFlag(options, "json"), asks: !readFlag(options, "yes") };
    const mode = options["mode"];
    if (typeof mode === "string") return setApproveMode(context, mode, manner);
    if (readFlag(options, "list")) return listEntries(context, names, manner.json);
    return approveEntries(context, names, { ...manner, all: readFlag(options, "all") });
  },
};
