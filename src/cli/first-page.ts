// Owns what `mountaineer` says by itself: how things are, or how to begin.
import { packageVersion } from "../api/version.ts";
import { findPlace, locateConfig } from "../config/locate.ts";
import { columns, padded } from "../runtime/plain-text.ts";
import type { CommandContext } from "./command.ts";
import { statusCommand } from "./commands/status.ts";
import { paintFor } from "./look.ts";

const FIRST_COMMANDS = [
  ["mountaineer demo", "see it work: a small NAS on this machine, with two cables to pull"],
  ["mountaineer init", "say what you have: a NAS, MCP servers, or both"],
  ["mountaineer monitor", "keep it all up from then on"],
] as const;
const MORE = "mountaineer --help lists all commands.";

/** Looks, and changes nothing. */
export async function showFirstPage(context: CommandContext): Promise<number> {
  const place = findPlace({ ...process.env, MOUNTAINEER_HOME: context.home });
  const { exists } = await locateConfig(place, context.configPath);
  if (!exists) {
    context.print(firstPage(context));
    return 0;
  }
  const code = await statusCommand.run(context, {}, []);
  context.print(`\n${MORE}\n`);
  return code;
}

function firstPage({ stdoutLook }: CommandContext): string {
  const paint = paintFor(stdoutLook);
  const width = Math.max(...FIRST_COMMANDS.map(([command]) => columns(command)));
  return [
    `${paint.bold(`Mountaineer ${packageVersion()}`)} keeps the shares of your NAS mounted over the best route there is,`,
    "and serves your MCP servers as one.",
    "",
    "To begin:",
    ...FIRST_COMMANDS.map(([command, does]) => `  ${paint.cyan(padded(command, width))}  ${does}`),
    "",
    MORE,
    "",
  ].join("\n");
}
