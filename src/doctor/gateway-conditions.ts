// What the running gateway says is wrong with itself and its backends, as findings. Pure.
import type { Condition, StatusReport } from "../api/contract.ts";
import type { DoctorFinding } from "../api/doctor-report.ts";
import { ofBackend } from "../daemon/control/verify.ts";
import { findingsOf } from "./context.ts";

const finding = findingsOf("gateway");

/** `known`: findings that say the same already, by code and subject. */
export function conditionFindings(
  { gateway, backends = [] }: Pick<StatusReport, "gateway" | "backends">,
  known: readonly DoctorFinding[],
): DoctorFinding[] {
  const told = new Set(known.map(({ code, subject }) => keyOf(code, subject)));
  const findings = (conditions: readonly Condition[], subject: string | null): DoctorFinding[] =>
    conditions.flatMap(({ code, severity, title, hint }) =>
      told.has(keyOf(code, subject))
        ? []
        : [finding(severity, code, subject === null ? title : ofBackend(subject, title), { subject, hint })],
    );
  return [
    ...findings(gateway?.conditions ?? [], null),
    ...backends.flatMap(({ name, conditions }) => findings(conditions, name)),
  ];
}

function keyOf(code: string, subject: string | null): string {
  return JSON.stringify([code, subject]);
}
