// The command `mountaineer backends restart`.
import { MountaineerError } from "../../../runtime/errors.ts";
import { harmless } from "../../../runtime/text/plain-text.ts";
import type { CommandContext, CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";
import { paintFor } from "../../views/terminal-style.ts";

export const backendsRestartCommand: CommandDefinition = {
  name: "backends restart",
  summary: "start backends anew, without losing a call",
  description:
    "A running one serves until the new one is ready, and finishes the calls it has; one that failed is tried again " +
    "at once. Answers when the restart is begun: mountaineer backends list tells how it goes.",
  examples: [
    { command: "mountaineer backends restart files", does: "start one anew" },
    { command: "mountaineer backends restart --all", does: "start all anew" },
  ],
  exits: { 2: "there is no backend of that name; then none is restarted", 8: "no daemon runs" },
  addOptions(command) {
    command.argument("[names...]", "the backends").option("--all", "all backends that are enabled");
    addJsonOption(command);
  },
  async run(context, options, names) {
    const all = readFlag(options, "all");
    requireOneWay(names, all);
    const { askDaemon } = await import("../../sessions/control-session.ts");
    const { RUNNING_BACKENDS } = await import("../../sessions/gateway-session.ts");
    const report = await askDaemon(context, RUNNING_BACKENDS, "restart", {
      backends: all ? null : [...new Set(names)],
    });
    if (readFlag(options, "json")) context.print(`${JSON.stringify(report, null, 2)}\n`);
    else tell(context, report.restarted, all ? [] : names);
    return 0;
  },
};

function requireOneWay(names: readonly string[], all: boolean): void {
  if (names.length === 0 && !all) {
    throw new MountaineerError("usage", "no backend was named", {
      hint: "name them, or say --all",
    });
  }
  if (names.length > 0 && all) {
    throw new MountaineerError("usage", "--all cannot be used with names", {
      hint: "leave one of them out",
    });
  }
}

function tell(context: CommandContext, restarted: readonly string[], asked: readonly string[]): void {
  const paint = paintFor(context.stdoutStyle);
  for (const name of restarted) {
    context.print(`${paint.green(paint.symbols.good)} ${paint.bold(harmless(name))}  is started anew\n`);
  }
  for (const name of asked.filter((each) => !restarted.includes(each))) {
    context.print(
      `${paint.dim(paint.symbols.skip)} ${paint.bold(harmless(name))}  is disabled or ending: left as it is\n`,
    );
  }
  if (restarted.length === 0 && asked.length === 0)
    context.note("no backend is enabled, so none is restarted");
}
