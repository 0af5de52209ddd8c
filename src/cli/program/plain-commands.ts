// A fast path for commands that run often, for instance from shell prompts and status bars. Without options, such a
// command takes half the time, because neither commander nor the other commands are loaded.
import type { CommandDefinition, MakeContext } from "../input/command.ts";

export const PLAIN_COMMANDS: Readonly<Record<string, () => Promise<CommandDefinition>>> = {
  status: async () => (await import("../commands/status.ts")).statusCommand,
  "shares list": async () => (await import("../commands/shares-list.ts")).sharesListCommand,
  "alias list": async () => (await import("../commands/alias.ts")).aliasListCommand,
  "backends list": async () => (await import("../commands/backends-list.ts")).backendsListCommand,
  "tools list": async () => (await import("../commands/tools.ts")).toolsListCommand,
};

/**
 * Runs the command, and resolves with its exit code. For other commands, and for any option but `--json`, does nothing
 * and resolves with null.
 */
export async function runPlainCommand(
  args: readonly string[],
  makeContext: MakeContext,
): Promise<number | null> {
  const json = args.at(-1) === "--json";
  const line = (json ? args.slice(0, -1) : args).map((arg) => arg.replaceAll(" ", "?")).join(" ");
  const load = Object.hasOwn(PLAIN_COMMANDS, line) ? PLAIN_COMMANDS[line] : undefined;
  return load === undefined ? null : (await load()).run(await makeContext(null), json ? { json } : {}, []);
}
