// What of a fleet's permissions, keys and certificates is worth a word. Pure.
import type { DoctorFinding } from "../api/doctor-report.ts";
import type { FleetCheckReport } from "../api/fleet-contract.ts";
import { findingsOf } from "./context.ts";

const finding = findingsOf("fleet");
const DAY_MS = 86_400_000;
/** Time enough for machines that are seldom on. */
const WARNED_MS = 120 * DAY_MS;
const LISTED = "docs/fleet.md lists what a machine needs: Permissions";

type Permissions = FleetCheckReport["lacks"];

export function checkFindings(report: FleetCheckReport, nowMs: number): DoctorFinding[] {
  const { lacks, exceeds, operator, pending } = report;
  const findings: DoctorFinding[] = lacks.map(({ may, subject, purpose }) =>
    finding(
      "warning",
      "fleet_permission_lacks",
      `the server does not let this machine ${words(may)} ${subject}: ${purpose}`,
      {
        subject,
        hint: `${LISTED}; where the fleet began, \`mountaineer fleet invite\` writes them anew`,
      },
    ),
  );
  if (exceeds.length > 0) {
    findings.push(
      finding(
        "warning",
        "fleet_permission_exceeds",
        `this machine could ${purposes(exceeds)}: the server permits it`,
        {
          hint: `so could whoever has its key. ${LISTED}`,
        },
      ),
    );
  }
  if (lacks.length === 0 && exceeds.length === 0) {
    findings.push(
      finding(
        "ok",
        "fleet_permissions",
        "the server permits to this machine what it needs, and nothing in other names",
      ),
    );
  }
  if (operator !== null && operator.current !== operator.line) {
    const since = operator.since === null ? "" : ` since ${operator.since}`;
    const text = `the operator's key is ${operator.current}${since}: [fleet].operator names one that went over to it`;
    findings.push(finding("info", "fleet_operator_exchanged", text, { hint: "the line can stay as it is" }));
  }
  return [...findings, ...pending.map(pendingFinding), ...certificateFindings(report, nowMs)];
}

function words(may: "publish" | "subscribe"): string {
  return may === "publish" ? "publish to" : "subscribe to";
}

function purposes(permissions: Permissions): string {
  return [...new Set(permissions.map(({ purpose }) => purpose))].join(", ");
}

function pendingFinding(whose: FleetCheckReport["pending"][number]): DoctorFinding {
  const command =
    whose === "operator" ? "mountaineer fleet keys rotate operator" : "mountaineer fleet keys rotate";
  return finding("warning", "fleet_key_pending", `a new key of the ${whose} is kept and not in use yet`, {
    subject: whose,
    hint: `${command} goes on with it`,
  });
}

function certificateFindings(
  { authority_until, server_until }: FleetCheckReport,
  nowMs: number,
): DoctorFinding[] {
  const ends = [
    ["the authority of the fleet's server, as this machine knows it,", authority_until],
    ["the certificate of the fleet's server", server_until],
  ] as const;
  return ends.flatMap(([what, until]) => {
    if (until === null || Date.parse(until) - nowMs > WARNED_MS) return [];
    return [
      finding("warning", "fleet_certificate_ends", `${what} is good until ${until.slice(0, 10)}`, {
        hint: "docs/fleet.md says how it is renewed: Before the certificate runs out",
      }),
    ];
  });
}
