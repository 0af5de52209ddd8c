// Commands that run without the parser, in half the time: neither commander nor the other commands are loaded.
import type { CommandDefinition, MakeContext } from "../input/command.ts";
import { type PlainCommand, type PlainLine, readPlainLine } from "../input/plain-line.ts";

export const PLAIN_COMMANDS: Readonly<Record<PlainCommand, () => Promise<CommandDefinition>>> = {
  status: async () => (await import("../commands/status.ts")).statusCommand,
  "shares list": async () => (await import("../commands/shares-list.ts")).sharesListCommand,
  "alias list": async () => (await import("../commands/alias.ts")).aliasListCommand,
  "backends list": async () => (await import("../commands/backends-list.ts")).backendsListCommand,
  "tools list": async () => (await import("../commands/tools.ts")).toolsListCommand,
  mcp: async () => (await import("../commands/clients.ts")).mcpCommand,
  why: async () => (await import("../commands/why.ts")).whyCommand,
};

/** Runs the command, and resolves with its exit code. For a line that is not plain, does nothing and resolves with null. */
export async function runPlainCommand(
  args: readonly string[],
  makeContext: MakeContext,
): Promise<number | null> {
  const line = readPlainLine(args);
  return line === null ? null : runPlainLine(line, makeContext);
}

export async function runPlainLine(
  { command, args, json }: PlainLine,
  makeContext: MakeContext,
): Promise<number> {
  const { run } = await PLAIN_COMMANDS[command]();
  return run(await makeContext(null), json ? { json } : {}, args);
}
