// `mountaineer fleet init|invite|join|leave|remove`. Loads src/fleet on demand, and gives its functions this
// home, its configuration file and the terminal.

import { BlockList, isIP, isIPv6 } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import type { ConfigEditWire } from "../../api/operations/requests.ts";
import { editConfig } from "../../config/edit/edit.ts";
import { decodedText } from "../../config/read/config-bytes.ts";
import {
  type FleetSection,
  isMachineName,
  MACHINE_NAME_EXPECTED,
  machineNameOf,
  parseFleetServer,
} from "../../config/values/fleet-values.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { printable, shellCommand } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext, Signals, Terminal } from "../input/command.ts";
import { doneLine, showResult, showText } from "../input/options.ts";
import { promptSecret } from "../input/secret-question.ts";
import { readFirstLine } from "../input/standard-input.ts";
import { editMembers, readMembers, requireSaved } from "../sessions/config-members.ts";
import { changeConfig, refuseToBeginAfresh, viewConfig } from "../sessions/config-session.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { homeOptions } from "./home-options.ts";

const CODE_VALID_MS = 10 * 60_000;

interface FleetStart {
  /** null: the host's name. */
  readonly name: string | null;
  /** HOST:PORT; null: the first address that other machines can reach. */
  readonly listen: string | null;
  readonly invite: boolean | null;
}

/** Makes a fleet on this machine. Resolves with the exit code, as every command of this file does. */
export async function beginFleet(context: CommandContext, start: FleetStart): Promise<number> {
  const { foundFleet } = await import("../../fleet/enrollment/found-fleet.ts");
  const name = machineName(start.name);
  const address = listenAddress(start.listen);
  const { readFleet } = await import("../../fleet/enrollment/fleet-folder.ts");
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
    writeSection: (section) => writeSection(context, section),
  });
  const shown = { name: membership.name, address: membership.address };
  showDone(context, shown, `the fleet's server runs at ${address}; this machine is ${name}`);
  if (/^127\.|^\[::1\]|^localhost:/.test(address)) {
    context.notify("only this machine reaches that address: --listen names one that others reach");
  }
  return start.invite === false ? 0 : inviteMachine(context);
}

/** Prints a code that lets one machine in, and waits until a machine has used it or it expires. */
export async function inviteMachine(context: CommandContext): Promise<number> {
  const { invite } = await import("../../fleet/enrollment/invite.ts");
  const { requireFleet } = await import("../../fleet/enrollment/fleet-folder.ts");
  const options = homeOptions(context);
  await requireFleet(context.home);
  const joined = await invite({
    ...options,
    validMs: CODE_VALID_MS,
    onCode: (code, expiresAtMs) => {
      if (context.json) {
        context.print(`${JSON.stringify({ code, expires_at: new Date(expiresAtMs).toISOString() })}\n`);
        return;
      }
      context.print(`\nOn the next machine, within ${CODE_VALID_MS / 60_000} minutes:\n\n`);
      context.print(`  ${shellCommand`mountaineer fleet join ${code}`}\n\n`);
      context.notify("waiting for it; the code lets one machine in, and Ctrl-C withdraws it");
    },
  });
  if (context.json) context.print(`${JSON.stringify({ joined })}\n`);
  else if (joined !== null)
    showText(context, (paint) => [doneLine(paint, printable(`${joined} has joined`))]);
  if (joined === null)
    context.notify("no machine joined in time: mountaineer fleet invite makes another code");
  return joined === null ? FAILED_EXIT : 0;
}

export async function joinByCode(
  context: CommandContext,
  given: {
    /** null: ask for the code; "-": read the code from standard input. */
    readonly code: string | null;
    readonly name: string | null;
  },
): Promise<number> {
  const { readJoinCode } = await import("../../fleet/enrollment/join-code.ts");
  const { joinFleet } = await import("../../fleet/enrollment/join.ts");
  const name = machineName(given.name);
  const code = readJoinCode(await codeText(given.code, context));
  await refuseSection(context);
  const { address } = await joinFleet({
    ...homeOptions(context),
    code,
    name,
    writeSection: (section) => writeSection(context, section),
  });
  showDone(context, { name, address }, `this machine is in the fleet as ${name}; its server is ${address}`);
  return 0;
}

async function codeText(given: string | null, context: Terminal & Signals): Promise<string> {
  if (given !== null && given !== "-") return given;
  if (given === null && context.stdin.isTTY) return promptSecret("Code (not shown): ", context);
  return readFirstLine("code", context);
}

/** `dissolves`: where the fleet began, leaves it even if other machines then lose their server. */
export async function leave(context: CommandContext, dissolves: boolean): Promise<number> {
  const { leaveFleet } = await import("../../fleet/enrollment/leave.ts");
  const left = await leaveFleet({
    ...homeOptions(context),
    dissolves,
    removeSection: () => removeSection(context),
  });
  const { name, dissolved } = left;
  showResult(context, left, (paint) =>
    name === null
      ? ["this machine is in no fleet"]
      : [
          doneLine(
            paint,
            printable(`${name} has left the fleet${dissolved ? ", and its server is gone" : ""}`),
          ),
        ],
  );
  if (name !== null && !dissolved) {
    context.notify(
      `where the fleet began, its key is taken away by: ${shellCommand`mountaineer fleet remove ${name}`}`,
    );
  }
  return 0;
}

/** Takes another machine's key away. Only where the fleet began. */
export async function remove(context: CommandContext, machine: string): Promise<number> {
  const { removeMember } = await import("../../fleet/enrollment/leave.ts");
  const { home, signal } = context;
  const removed = await removeMember({ home, clock: systemClock }, machine, signal);
  showDone(context, { removed }, `${removed} is out of the fleet: its key is no longer valid`);
  return 0;
}

function showDone(context: Terminal, report: object, text: string): void {
  if (context.json) context.print(`${JSON.stringify(report)}\n`);
  else showText(context, (paint) => [doneLine(paint, printable(text))]);
}

const PORT = 4222;
const NAME_RULE = `a machine's name has ${MACHINE_NAME_EXPECTED}`;

/** The given name, else one made from the host's name. Throws `usage` for an invalid name. */
function machineName(given: string | null, host: string = hostname()): string {
  if (given !== null) {
    if (isMachineName(given) && !given.startsWith("-")) return given;
    throw new MountaineerError("usage", NAME_RULE);
  }
  const name = machineNameOf(host);
  if (name !== null) return name;
  throw new MountaineerError("usage", "this machine's host name gives it no name in the fleet", {
    hint: `--name NAME does; ${NAME_RULE}`,
  });
}

type Interfaces = ReturnType<typeof networkInterfaces>;

/** The given HOST:PORT, else the first address that other machines can reach. Throws `usage` for an invalid address. */
export function listenAddress(given: string | null, interfaces: Interfaces = networkInterfaces()): string {
  if (given !== null) {
    // Checks the address by the rule of the configuration file, because the address is written into that
    // file.
    const address = addressOf(given);
    // Certificates and join codes cannot hold a name with an underscore.
    if (address !== null && !address.includes("_") && !isEveryAddress(address)) return address;
    throw new MountaineerError("usage", "--listen takes HOST:PORT: where the other machines reach this one", {
      hint: "a name or an address of this machine, as the others know it: nas.local:4222",
    });
  }
  const addresses = Object.values(interfaces).flatMap((list) => list ?? []);
  const reachable = addresses.find(
    ({ family, internal, address }) => family === "IPv4" && !internal && !address.startsWith("169.254."),
  );
  return `${reachable?.address ?? "127.0.0.1"}:${PORT}`;
}

function addressOf(given: string): string | null {
  const reading = parseFleetServer(`tls://${isIPv6(given) ? `[${given}]` : given}`);
  // Removes the final dot of a name: DNS syntax allows it, but certificates do not contain it.
  return reading.ok ? reading.value.slice("tls://".length).replace(/\.(?=:\d+$)/, "") : null;
}

function isEveryAddress(address: string): boolean {
  const host = address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  const every = new BlockList();
  every.addAddress("0.0.0.0");
  every.addAddress("::", "ipv6");
  return isIP(host) !== 0 && every.check(host, isIPv6(host) ? "ipv6" : "ipv4");
}

// The `[fleet]` section of the configuration: writing and removing it.

/** Rejects with `usage` if the file has a `[fleet]` section, and with `config_…` if the file cannot be changed. */
function refuseSection(context: CommandContext, hint = "mountaineer fleet leave removes it"): Promise<void> {
  return viewConfig(context, async (view) => {
    await refuseToBeginAfresh(context, view);
    const { fleet } = await readMembers(view);
    if (fleet === null) return;
    throw new MountaineerError("usage", `this machine is in a fleet already, as ${fleet.name}`, {
      hint,
    });
  });
}

/** Saves the section; an equal section makes no change. */
async function writeSection(context: CommandContext, section: FleetSection): Promise<void> {
  const edits: ConfigEditWire[] = Object.entries(section).map(([key, value]) => ({
    key: `fleet.${key}`,
    value: JSON.stringify(value),
  }));
  await editMembers(context, () => edits);
}

function removeSection(context: CommandContext): Promise<boolean> {
  return changeConfig(context, async (call, view) => {
    const bytes = await view.read();
    const { fleet } = await readMembers(view);
    if (bytes === null || fleet === null) return false;
    // All keys at once: a section with only some of them is not valid.
    const edits = [{ kind: "unset" as const, keyPath: ["fleet"] }];
    const edited = await editConfig({ bytes, format: view.format, edits });
    const request = { text: decodedText(edited.bytes), expected_sha256: sha256Of(bytes), source: "cli" };
    requireSaved(context, await call("editText", request, context.signal));
    return true;
  });
}
