// Checks the fleet: whether it is reached, with JetStream and the permissions that it takes. The daemon has the link.

import type { DaemonClient } from "../api/client/client.ts";
import type { DoctorFinding } from "../api/doctor-report.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { counted } from "../runtime/text/plain-text.ts";
import { oneMissingText, resolveReference } from "../secrets/reference.ts";
import { type DoctorContext, findingsOf } from "./context.ts";
import { checkFindings } from "./fleet-check.ts";

const finding = findingsOf("fleet");
const ANSWER_MS = 4_000;
/** With a connection of its own. */
const CHECK_MS = 6_000;

export async function examineFleet(
  context: Pick<DoctorContext, "snapshot" | "values" | "daemon" | "signal" | "clock">,
): Promise<DoctorFinding[]> {
  const { snapshot, values, daemon, signal, clock } = context;
  const fleet = snapshot?.config.fleet ?? null;
  if (fleet === null) return [];
  const secret = resolveReference(fleet.credentials, values);
  const missing = secret.ok
    ? []
    : [
        finding("error", "fleet_credentials", `fleet: ${oneMissingText(secret.missing)}`, {
          hint: "[fleet].credentials says where they are",
        }),
      ];
  if (daemon === null) {
    return [
      ...missing,
      finding("info", "fleet_not_looked_at", "the fleet was not looked at: no daemon runs"),
    ];
  }
  try {
    const { name, link, machines, conditions } = await daemon.fleet(
      AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    );
    const found = conditions.map(({ severity, code, title, hint }) =>
      finding(severity, code, title, { hint }),
    );
    if (link.state === "away") {
      if (found.length > 0) return [...missing, ...found];
      return [...missing, finding("info", "fleet_connecting", "the fleet is being connected to")];
    }
    const checked = await checkOf(daemon, clock.wallMs(), signal);
    if (found.length > 0) return [...missing, ...found, ...checked];
    const unreadable = machines.filter(({ problem }) => problem !== null);
    const others = counted(machines.length - 1, "other machine");
    return [
      finding("ok", "fleet", `${name} is in the fleet over ${link.server}, with ${others}`),
      ...unreadable.map((machine) =>
        finding("warning", "fleet_machine", `${machine.name}: ${machine.problem}`, { subject: machine.name }),
      ),
      ...checked,
    ];
  } catch (error) {
    signal.throwIfAborted();
    // That the daemon does not answer is its own finding; what runs may be another configuration.
    if (error instanceof MountaineerError) return missing;
    throw error;
  }
}

async function checkOf(daemon: DaemonClient, nowMs: number, signal: AbortSignal): Promise<DoctorFinding[]> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(CHECK_MS)]);
    return checkFindings(await daemon.fleetCheck(limit), nowMs);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof MountaineerError)) throw error;
    const why = error.message;
    return [
      finding("info", "fleet_permissions_unknown", `what the fleet's server permits is not known: ${why}`),
    ];
  }
}
