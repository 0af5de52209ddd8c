// Checks the fleet through the daemon, which has the link: connection, permissions, keys and certificates.

import type { DaemonClient } from "../api/client/client.ts";
import type { FleetCheckReport } from "../api/contract/fleet.ts";
import type { DoctorFinding } from "../api/doctor-report.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { pluralize } from "../runtime/text/plain-text.ts";
import { oneMissingText, resolveReference } from "../secrets/reference.ts";
import { type DoctorContext, findingsOf, ofCondition } from "./context.ts";

const finding = findingsOf("fleet");
const ANSWER_MS = 4_000;
/**
 * Deadline for the daemon's check, ms. Longer than `ANSWER_MS`, because the daemon first opens a second
 * connection to the server.
 */
const CHECK_MS = 6_000;

export async function examineFleet(
  context: Pick<DoctorContext, "snapshot" | "values" | "daemon" | "signal" | "clock">,
): Promise<DoctorFinding[]> {
  const { snapshot, values, daemon, signal, clock } = context;
  const fleet = snapshot?.config.fleet ?? null;
  if (fleet === null) return [];
  const secret = resolveReference(fleet.credentials, values);
  const found: DoctorFinding[] = [];
  if (!secret.ok) {
    const text = `fleet: ${oneMissingText(secret.missing)}`;
    found.push(
      finding("error", "fleet_credentials", text, {
        hint: "[fleet].credentials names where this machine's key is stored",
      }),
    );
  }
  if (daemon === null) {
    const text = "the fleet was not checked: no daemon runs";
    return [...found, finding("info", "fleet_not_looked_at", text)];
  }
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    const { name, link, machines, conditions } = await daemon.call("fleet", null, limit);
    found.push(...conditions.map((one) => ofCondition("fleet", one)));
    if (link.state === "away") {
      if (conditions.length === 0)
        found.push(finding("info", "fleet_connecting", "the fleet is being connected to"));
      return found;
    }
    if (conditions.length === 0) {
      const others = pluralize(machines.length - 1, "other machine");
      const text = `${name} is in the fleet over ${link.server}, with ${others}`;
      // Drops the findings so far, such as unreadable credentials: the daemon is connected, so it has the
      // credentials.
      found.splice(0, found.length, finding("ok", "fleet", text));
      for (const { name, problem } of machines)
        if (problem !== null)
          found.push(finding("warning", "fleet_machine", `${name}: ${problem}`, { subject: name }));
    }
    return [...found, ...(await permissionFindings(daemon, clock.wallMs(), signal))];
  } catch (error) {
    // A daemon that does not answer is reported by another check. A daemon that runs another configuration may have
    // no fleet.
    if (error instanceof MountaineerError) return found;
    throw error;
  }
}

async function permissionFindings(
  daemon: DaemonClient,
  nowMs: number,
  signal: AbortSignal,
): Promise<DoctorFinding[]> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(CHECK_MS)]);
    return checkFindings(await daemon.call("fleetCheck", null, limit), nowMs);
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    const text = `the permissions on the fleet's server could not be checked: ${error.message}`;
    return [finding("info", "fleet_permissions_unknown", text)];
  }
}

const DAY_MS = 86_400_000;
/** How long before its end a certificate is reported: machines that are seldom on need time to renew. */
const WARNED_MS = 120 * DAY_MS;
const LISTED = "docs/reference/fleet.md lists what a machine needs: Permissions";

type Permissions = FleetCheckReport["lacks"];

function checkFindings(report: FleetCheckReport, nowMs: number): DoctorFinding[] {
  const { lacks, exceeds } = report;
  const findings: DoctorFinding[] = lacks.map(({ may, subject, purpose }) => {
    const text = `the server does not let this machine ${may} to ${subject}: ${purpose}`;
    const hint = `${LISTED}; \`mountaineer fleet key\` prints the line with all of them`;
    return finding("warning", "fleet_permission_lacks", text, { subject, hint });
  });
  if (exceeds.length > 0) {
    const text = `this machine could ${purposes(exceeds)}: the server permits it`;
    const hint = `anyone who has this machine's key could do the same. ${LISTED}`;
    findings.push(finding("warning", "fleet_permission_exceeds", text, { hint }));
  }
  if (findings.length === 0) {
    const text = "the server permits to this machine what it needs, and nothing in other names";
    findings.push(finding("ok", "fleet_permissions", text));
  }
  return [...findings, ...authorityFindings(report, nowMs)];
}

function purposes(permissions: Permissions): string {
  return [...new Set(permissions.map(({ purpose }) => purpose))].join(", ");
}

function authorityFindings({ authority_until: until }: FleetCheckReport, nowMs: number): DoctorFinding[] {
  if (until === null || Date.parse(until) - nowMs > WARNED_MS) return [];
  const text = `the authority in [fleet].tls_ca is valid until ${until.slice(0, 10)}`;
  const hint = "get the new one from the server's operator, and name its file there";
  return [finding("warning", "fleet_authority_ends", text, { hint })];
}
