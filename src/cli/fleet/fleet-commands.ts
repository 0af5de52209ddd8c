// What `mountaineer fleet init|invite|join|leave|remove` do: the fleet's own code, loaded when it is needed, with this
// home, its configuration and the terminal.

import { harmless } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { refuseSection, removeSection, writeSection } from "../edits/fleet-section.ts";
import type { CommandContext } from "../input/command.ts";
import { showJson } from "../input/options.ts";
import { askSecretly } from "../input/secret-question.ts";
import { readFirstLine } from "../input/standard-input.ts";
import { readMembers } from "../sessions/config-members.ts";
import { viewConfig } from "../sessions/config-session.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { paintFor } from "../views/terminal-style.ts";
import { homeOptions } from "./home-options.ts";
import { listenAddress, machineName } from "./machine-defaults.ts";

const CODE_VALID_MS = 10 * 60_000;

export interface BeginWish {
  /** null: as the host is called. */
  readonly name: string | null;
  /** HOST:PORT; null: the first address that others can reach. */
  readonly listen: string | null;
  readonly invite: boolean | null;
}

/** Each resolves with the exit code. */
export async function beginFleet(context: CommandContext, wish: BeginWish): Promise<number> {
  const { foundFleet } = await import("../../fleet/way-in/found-fleet.ts");
  const name = machineName(wish.name);
  const address = listenAddress(wish.listen);
  const { readFleet } = await import("../../fleet/way-in/fleet-folder.ts");
  const isBegun = (await readFleet(context.home)) !== null;
  await refuseSection(
    context,
    isBegun
      ? "mountaineer fleet invite lets the next machine in; mountaineer fleet leave ends it"
      : undefined,
  );
  const membership = await foundFleet({
    ...homeOptions(context),
    name,
    address,
    writeSection: async (section) => void (await writeSection(context, "fleet init", section)),
  });
  const shown = { name: membership.name, address: membership.address };
  tell(context, shown, `the fleet's server runs at ${address}; this machine is ${name}`);
  if (/^127\.|^\[::1\]|^localhost:/.test(address)) {
    context.note("only this machine reaches that address: --listen names one that others reach");
  }
  return wish.invite === false ? 0 : inviteMachine(context);
}

export async function inviteMachine(context: CommandContext): Promise<number> {
  const { invite } = await import("../../fleet/way-in/invite.ts");
  const { requireFleet } = await import("../../fleet/way-in/fleet-folder.ts");
  const { settledOperatorKey } = await import("../../fleet/way-in/operator-key.ts");
  const options = homeOptions(context);
  await requireFleet(context.home);
  const key = await settledOperatorKey(options, await operatorLine(context));
  const joined = await invite({
    ...options,
    validMs: CODE_VALID_MS,
    operatorKey: key,
    onCode: (code, expiresAtMs) => {
      if (context.json) {
        context.print(`${JSON.stringify({ code, expires_at: new Date(expiresAtMs).toISOString() })}\n`);
        return;
      }
      context.print(`\nOn the next machine, within ${CODE_VALID_MS / 60_000} minutes:\n\n`);
      context.print(`  mountaineer fleet join ${code}\n\n`);
      context.note("waiting for it; the code lets one machine in, and Ctrl-C withdraws it");
    },
  });
  if (context.json) context.print(`${JSON.stringify({ joined })}\n`);
  else if (joined !== null) say(context, `${joined} has joined`);
  if (joined === null) context.note("nobody joined in time: mountaineer fleet invite makes another code");
  return joined === null ? FAILED_EXIT : 0;
}

/** As this machine's file has it; null: it has none. */
function operatorLine(context: CommandContext): Promise<string | null> {
  return viewConfig(context, async (view) => (await readMembers(view)).fleet?.operator ?? null);
}

export async function joinByCode(
  context: CommandContext,
  wish: {
    /** null: is asked for; "-": stands in standard input. */
    readonly code: string | null;
    readonly name: string | null;
  },
): Promise<number> {
  const { readJoinCode } = await import("../../fleet/way-in/join-code.ts");
  const { joinFleet } = await import("../../fleet/way-in/join.ts");
  const name = machineName(wish.name);
  const code = readJoinCode(await codeText(wish.code, context));
  await refuseSection(context);
  const { address } = await joinFleet({
    ...homeOptions(context),
    code,
    name,
    writeSection: async (section) => void (await writeSection(context, "fleet join", section)),
  });
  tell(context, { name, address }, `this machine is in the fleet as ${name}; its server is ${address}`);
  return 0;
}

async function codeText(given: string | null, context: CommandContext): Promise<string> {
  if (given !== null && given !== "-") return given;
  if (given === null && context.stdin.isTTY) return askSecretly("Code (not shown): ", context);
  return readFirstLine("code", context);
}

export async function leave(context: CommandContext, dissolves: boolean): Promise<number> {
  const { leaveFleet } = await import("../../fleet/way-in/leave.ts");
  const left = await leaveFleet({
    ...homeOptions(context),
    dissolves,
    removeSection: () => removeSection(context),
  });
  const { name, dissolved } = left;
  if (context.json) showJson(context, left);
  else if (name === null) context.print("this machine is in no fleet\n");
  else say(context, `${name} has left the fleet${dissolved ? ", and its server is gone" : ""}`);
  if (name !== null && !dissolved) {
    context.note(`where the fleet began, its key is taken away by: mountaineer fleet remove ${name}`);
  }
  return 0;
}

export async function remove(context: CommandContext, machine: string): Promise<number> {
  const { removeMember } = await import("../../fleet/way-in/leave.ts");
  const { home, signal } = context;
  const removed = await removeMember({ home, clock: systemClock }, machine, signal);
  tell(context, { removed }, `${removed} is out of the fleet: its key opens nothing any more`);
  return 0;
}

function tell(context: CommandContext, report: object, text: string): void {
  if (context.json) context.print(`${JSON.stringify(report)}\n`);
  else say(context, text);
}

function say({ print, stdoutStyle }: CommandContext, text: string): void {
  const { green, symbols } = paintFor(stdoutStyle);
  print(`${green(symbols.good)} ${harmless(text)}\n`);
}
