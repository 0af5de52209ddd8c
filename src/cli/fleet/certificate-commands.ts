// `mountaineer fleet keys rotate certificate`: renews the certificates of the fleet's server after every member trusts
// the new certificate authority.
import type { DaemonClient } from "../../api/client/client.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import type { CommandContext } from "../input/command.ts";
import { doneLine, showResult, warningLine } from "../input/options.ts";
import { withDaemon } from "../sessions/control-session.ts";
import { lookUntil } from "../sessions/look-until.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { homeOptions } from "./home-options.ts";
import { LINKED, publishLayer, readSigner } from "./layer-commands.ts";
import { textThatCounts } from "./operator-commands.ts";

const KNOWN_WITHIN_MS = 5_000;

/** Resolves with the exit code. */
export async function rotateCertificate(context: CommandContext): Promise<number> {
  const { requireFleet, withKeys } = await import("../../fleet/way-in/fleet-folder.ts");
  const { madeAuthority, takeIntoUse } = await import("../../fleet/way-in/renew-certificate.ts");
  const { signal, home } = context;
  const options = homeOptions(context);
  await requireFleet(home);
  const renew = async (daemon: DaemonClient): Promise<number> => {
    const { made, ...next } = await madeAuthority(options, signal);
    // The newest revision carries the new authority, so a connected member that does not know the authority has
    // missed that revision. The configuration is then published again, as a new revision.
    const { lacking, here } = await knowing(context, daemon, next.fingerprint, 0);
    if (made || here.some((name) => lacking.includes(name))) await publish(context, daemon);
    const left = (await knowing(context, daemon, next.fingerprint, KNOWN_WITHIN_MS)).lacking;
    if (left.length === 0) await takeIntoUse(options, next, signal);
    const isUsed = left.length === 0;
    showResult(context, { authority: next.fingerprint, in_use: isUsed, lacking: left }, (paint) =>
      isUsed
        ? [doneLine(paint, "the fleet's server shows its new certificate; all members know it")]
        : [
            ...left.map((name) =>
              warningLine(paint, `${harmless(name)} does not know the new authority yet`),
            ),
            "",
            "The server shows its old certificate until all do: type the same again then.",
          ],
    );
    if (!isUsed && !context.json)
      context.note("a machine that never comes back: mountaineer fleet remove NAME");
    return isUsed ? 0 : FAILED_EXIT;
  };
  return withDaemon(context, LINKED, (daemon) => withKeys(options, signal, () => renew(daemon)));
}

/** Signs the unchanged common configuration as a new revision, which carries the new authority. */
async function publish(context: CommandContext, daemon: DaemonClient): Promise<void> {
  const signer = await readSigner(context, daemon);
  const { report } = signer;
  const text = await textThatCounts(context.home, report.line ?? report.operator ?? "", report);
  await publishLayer(context, daemon, signer, text);
}

/**
 * Resolves with the members that have not confirmed in time that they know the authority (`lacking`), and
 * with the connected members (`here`).
 */
async function knowing(
  { home, signal }: CommandContext,
  daemon: DaemonClient,
  fingerprint: string,
  withinMs: number,
) {
  const { requireFleet } = await import("../../fleet/way-in/fleet-folder.ts");
  const look = async () => {
    const { members } = await requireFleet(home);
    const { machines } = await daemon.ask("fleet", null, signal);
    const known = new Set(
      machines.filter(({ state }) => state?.layer?.authority === fingerprint).map(({ name }) => name),
    );
    const lacking = members.map(({ name }) => name).filter((name) => !known.has(name));
    const here = machines.filter(({ presence }) => presence === "here").map(({ name }) => name);
    return { lacking, here };
  };
  // Does not wait for members that are not connected.
  return lookUntil(
    { withinMs, signal },
    look,
    ({ lacking, here }) => !lacking.some((name) => here.includes(name)),
  );
}
