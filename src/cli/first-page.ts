// The page of `mountaineer` without a command: the status, or how to begin.
import type { StatusReport } from "../api/contract/contract.ts";
import { renderStatus } from "../api/views/status-view.ts";
import { paintFor } from "../runtime/text/paint.ts";
import { columns, padded } from "../runtime/text/plain-text.ts";
import { packageVersion } from "../runtime/version.ts";
import type { CommandContext, Terminal } from "./input/command.ts";
import { show } from "./sessions/control-session.ts";

const FIRST_COMMANDS = [
  ["mountaineer demo", "see it work: a small NAS here, with two cables to pull"],
  ["mountaineer init", "answer a few questions: a NAS, MCP servers, or both"],
  ["mountaineer import", "take over the MCP servers that your clients have"],
  ["mountaineer up", "start the daemon now and at every login"],
] as const;
const MORE = "mountaineer --help lists all commands.";

/** Changes nothing. Resolves with the exit code. */
export async function showFirstPage(context: CommandContext): Promise<number> {
  const report = await show(context, "status", null);
  if (isNothing(report)) context.print(firstPage(context));
  else context.print(`${renderStatus(report, { ...context.stdoutStyle, now: Date.now() })}\n${MORE}\n`);
  return 0;
}

function isNothing({ global, shares, gateway }: StatusReport): boolean {
  return global.pid === null && shares.length === 0 && gateway === undefined;
}

function firstPage({ stdoutStyle }: Terminal): string {
  const paint = paintFor(stdoutStyle);
  const width = Math.max(...FIRST_COMMANDS.map(([command]) => columns(command)));
  return [
    `${paint.bold(`Mountaineer ${packageVersion()}`)} keeps your NAS shares mounted at one path,`,
    "and serves all your MCP servers from one endpoint.",
    "",
    "To begin:",
    ...FIRST_COMMANDS.map(([command, does]) => `  ${paint.cyan(padded(command, width))}  ${does}`),
    "",
    MORE,
    "",
  ].join("\n");
}
