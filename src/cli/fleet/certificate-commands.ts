// What `mountaineer fleet keys rotate certificate` does: renews the certificates of the fleet's server, once every member
// knows the authority of the new ones.
import type { DaemonClient } from "../../api/client/client.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";
import { showJson } from "../input/options.ts";
import { withDaemon } from "../sessions/control-session.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { paintFor } from "../views/terminal-style.ts";
import { homeOptions } from "./home-options.ts";
import { LINKED, nextRevision, readSigner } from "./layer-commands.ts";
import { textThatCounts } from "./operator-commands.ts";

const KNOWN_WITHIN_MS = 5_000;
const BETWEEN_LOOKS_MS = 100;

/** Resolves with the exit code. */
export async function rotateCertificate(context: CommandContext): Promise<number> {
  const { requireFleet, withKeys } = await import("../../fleet/way-in/fleet-folder.ts");
  const { madeAuthority, takeIntoUse } = await import("../../fleet/way-in/renew-certificate.ts");
  const { signal, home } = context;
  const options = homeOptions(context);
  await requireFleet(home);
  const renew = async (daemon: DaemonClient): Promise<number> => {
    const { made, ...next } = await madeAuthority(options, signal);
    // A member that is there and does not know the authority has not got the newest configuration.
    const { lacking, here } = await knowing(context, daemon, next.fingerprint, 0);
    if (made || here.some((name) => lacking.includes(name))) await publish(context, daemon);
    const left = (await knowing(context, daemon, next.fingerprint, KNOWN_WITHIN_MS)).lacking;
    if (left.length === 0) await takeIntoUse(options, next, signal);
    tell(context, { authority: next.fingerprint, in_use: left.length === 0, lacking: left });
    return left.length === 0 ? 0 : FAILED_EXIT;
  };
  return withDaemon(context, LINKED, (daemon) => withKeys(options, signal, () => renew(daemon)));
}

/** Signs the common configuration again, with the new authority beside it. */
async function publish(context: CommandContext, daemon: DaemonClient): Promise<void> {
  const { signLayer } = await import("../../fleet/layer/signed-layer.ts");
  const { key, handovers, nextAuthority, report } = await readSigner(context, daemon);
  const text = await textThatCounts(context.home, report.line ?? report.operator ?? "", report);
  const { name: by } = await daemon.ask("fleet", null, context.signal);
  const time = new Date(systemClock.wallMs()).toISOString();
  const words = { revision: nextRevision(report), time, by, text };
  const document = signLayer(words, key, handovers, nextAuthority);
  const expected_sequence = report.newest?.sequence ?? 0;
  await daemon.ask("putFleetLayer", { document, expected_sequence }, context.signal);
}

/** Which members do not confirm in time that they know it, and which members are there. */
async function knowing(
  { home, signal }: CommandContext,
  daemon: DaemonClient,
  fingerprint: string,
  withinMs: number,
): Promise<{ readonly lacking: readonly string[]; readonly here: readonly string[] }> {
  const { requireFleet } = await import("../../fleet/way-in/fleet-folder.ts");
  const untilMs = systemClock.monotonicMs() + withinMs;
  for (;;) {
    const { members } = await requireFleet(home);
    const { machines } = await daemon.ask("fleet", null, signal);
    const known = new Set(
      machines.filter(({ state }) => state?.layer?.authority === fingerprint).map(({ name }) => name),
    );
    const lacking = members.map(({ name }) => name).filter((name) => !known.has(name));
    const here = machines.filter(({ presence }) => presence === "here").map(({ name }) => name);
    // A member that is not there will not answer.
    const isOver = !lacking.some((name) => here.includes(name));
    if (isOver || systemClock.monotonicMs() >= untilMs) return { lacking, here };
    await systemClock.sleep(BETWEEN_LOOKS_MS, signal);
  }
}

interface Outcome {
  readonly authority: string;
  readonly in_use: boolean;
  readonly lacking: readonly string[];
}

function tell(context: CommandContext, outcome: Outcome): void {
  if (context.json) {
    showJson(context, outcome);
    return;
  }
  const { green, yellow, symbols } = paintFor(context.stdoutStyle);
  if (outcome.in_use) {
    context.print(
      `${green(symbols.good)} the fleet's server shows its new certificate; all members know it\n`,
    );
    return;
  }
  for (const name of outcome.lacking) {
    context.print(`${yellow(symbols.warning)} ${harmless(name)} does not know the new authority yet\n`);
  }
  context.print("\nThe server shows its old certificate until all do: type the same again then.\n");
  context.note("a machine that never comes back: mountaineer fleet remove NAME");
}
