// `mountaineer fleet keys rotate machine` replaces this machine's own key, `certificate` that of the fleet's server.
import type { DaemonClient } from "../../api/client/client.ts";
import { fleetOff } from "../../api/operations/gateway-names.ts";
import type { FleetConfig } from "../../config/snapshot.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { CommandContext } from "../input/command.ts";
import { doneLine, showResult } from "../input/options.ts";
import { readMembers } from "../sessions/config-members.ts";
import { viewConfig } from "../sessions/config-session.ts";
import { pollUntil } from "../sessions/poll-until.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { homeOptions } from "./home-options.ts";

const CONNECTED_WITHIN_MS = 20_000;

/** Resolves with the exit code. */
export function rotateMachine(context: CommandContext): Promise<number> {
  return viewConfig(context, async (view) => {
    const { fleet } = await readMembers(view);
    if (fleet === null) throw fleetOff();
    const { readMembership } = await import("../../fleet/enrollment/membership.ts");
    const membership = await readMembership(context.home);
    if (membership === null) return byHand(context, { fleet, daemon: view.daemon });
    const { credentials } = fleet;
    if (credentials.kind !== "stored" || credentials.name !== membership.secret) {
      throw new MountaineerError(
        "usage",
        `[fleet].credentials is not secret:${membership.secret}, with which this machine has joined`,
        { hint: "whoever made what it uses now makes a new one" },
      );
    }
    const { rotateKey } = await import("../../fleet/enrollment/rotate-key.ts");
    const rotated = await rotateKey({
      ...homeOptions(context),
      onKept: () => signInAnew(context, view.daemon),
    });
    const said = `${rotated.name} signs in with ${rotated.key}; its old key opens nothing any more`;
    showResult(context, rotated, (paint) => [doneLine(paint, said)]);
    return 0;
  });
}

/** Makes the daemon connect with the new key, before the server refuses the old one. */
async function signInAnew({ signal }: CommandContext, daemon: DaemonClient | null): Promise<void> {
  if (daemon === null) return;
  await daemon.call("reload", {}, signal);
  const { link } = await pollUntil(
    { withinMs: CONNECTED_WITHIN_MS, signal },
    () => daemon.call("fleet", null, signal),
    (report) => report.link.state === "connected",
  );
  if (link.state === "connected") return;
  throw new MountaineerError(
    "fleet_unreachable",
    `the daemon is not in the fleet by the new key: ${link.last_error ?? "it is connecting"}`,
    { hint: "the old key opens the server as well until the same is typed again", retry: "later" },
  );
}

async function byHand(
  context: CommandContext,
  { fleet, daemon }: { readonly fleet: FleetConfig; readonly daemon: DaemonClient | null },
): Promise<number> {
  const { rotateByHand } = await import("../../fleet/enrollment/rotate-key.ts");
  const { before, key, waitsFor } = await rotateByHand(homeOptions(context), fleet);
  if (waitsFor === null) await signInAnew(context, daemon);
  showResult(context, { name: fleet.name, before, key, waits_for: waitsFor }, (paint) =>
    waitsFor === null
      ? [
          doneLine(paint, `${fleet.name} signs in with ${key}`),
          "",
          "Take its old key out of the server's users, and have the server read them again:",
          "",
          `  ${before}`,
          "",
        ]
      : [
          `The new key is kept here, and waits: ${waitsFor}.`,
          "",
          "Put it beside the old one in the server's users, with the same permissions:",
          "",
          `  { nkey: ${key}, permissions: … }   # ${fleet.name}, as ${before} has them`,
          "",
          "Have the server read them again (nats-server --signal reload), and type the same here once more.",
        ],
  );
  return waitsFor === null ? 0 : FAILED_EXIT;
}

/** Resolves with the exit code. */
export async function rotateCertificate(context: CommandContext): Promise<number> {
  const { renewCertificate } = await import("../../fleet/enrollment/renew-certificate.ts");
  await renewCertificate(homeOptions(context), context.signal);
  showResult(context, { renewed: true }, (paint) => [
    doneLine(paint, "the fleet's server shows its new certificate; its members know who issued it"),
  ]);
  return 0;
}
