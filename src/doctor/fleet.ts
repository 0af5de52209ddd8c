// Checks the fleet: whether it is reached, with JetStream and the permissions that it takes. The daemon has the link.

import type { DaemonClient } from "../api/client/client.ts";
import type { DoctorFinding } from "../api/doctor-report.ts";
import type { FleetCheckReport, FleetReport } from "../api/fleet-contract.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { counted } from "../runtime/text/plain-text.ts";
import { closestWord } from "../runtime/text/suggest.ts";
import { oneMissingText, resolveReference } from "../secrets/reference.ts";
import { type DoctorContext, findingsOf } from "./context.ts";

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
    const { name, link, machines, conditions } = await daemon.ask(
      "fleet",
      null,
      AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    );
    const found = conditions.map(({ severity, code, title, hint }) =>
      finding(severity, code, title, { hint }),
    );
    if (link.state === "away") {
      if (found.length > 0) return [...missing, ...found];
      return [...missing, finding("info", "fleet_connecting", "the fleet is being connected to")];
    }
    const checked = [
      ...unknownOf(fleet.sessions ?? [], machines),
      ...(await checkOf(daemon, clock.wallMs(), signal)),
    ];
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

/** Nothing else says so before a client comes with a session of such a machine. */
function unknownOf(sessions: readonly string[] = [], machines: FleetReport["machines"]): DoctorFinding[] {
  const known = machines.map(({ name }) => name);
  return sessions
    .filter((one) => one !== "*" && !known.includes(one))
    .map((one) => {
      const meant = closestWord(one, known);
      return finding(
        "warning",
        "fleet_sessions_unknown",
        `no machine ${one} is known, and [fleet].sessions names it`,
        {
          subject: one,
          hint: meant === null ? "mountaineer fleet status shows which there are" : `did you mean ${meant}?`,
        },
      );
    });
}

async function checkOf(daemon: DaemonClient, nowMs: number, signal: AbortSignal): Promise<DoctorFinding[]> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(CHECK_MS)]);
    return checkFindings(await daemon.ask("fleetCheck", null, limit), nowMs);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof MountaineerError)) throw error;
    const why = error.message;
    return [
      finding("info", "fleet_permissions_unknown", `what the fleet's server permits is not known: ${why}`),
    ];
  }
}

const DAY_MS = 86_400_000;
/** Time enough for machines that are seldom on. */
const WARNED_MS = 120 * DAY_MS;
const LISTED = "docs/fleet.md lists what a machine needs: Permissions";

type Permissions = FleetCheckReport["lacks"];

function checkFindings(report: FleetCheckReport, nowMs: number): DoctorFinding[] {
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
