// Finds secrets whose value is also a name. Names are never redacted, so messages and the log show such a value.
import type { DoctorFinding } from "../api/doctor-report.ts";
import { secretUses } from "../config/read/secret-uses.ts";
import { changeHint, referenceKey, referenceText, resolveReference } from "../secrets/reference.ts";
import { type DoctorContext, findingsOf } from "./context.ts";

const finding = findingsOf("credentials");

export function examineSecretNames({
  snapshot,
  values,
}: Pick<DoctorContext, "snapshot" | "values">): DoctorFinding[] {
  if (snapshot === null) return [];
  const { shares, backends } = snapshot.config;
  const names = new Set([...shares, ...backends].map(({ name }) => name.toLowerCase()));
  return secretUses(snapshot.config).flatMap(({ reference, usedBy }) => {
    const resolved = resolveReference(reference, values);
    if (!resolved.ok || !names.has(resolved.value.toLowerCase())) return [];
    const text = `${usedBy}: the value of ${referenceText(reference)} is also the name of a share or server, so messages and the log show it`;
    return [finding("warning", "secret_is_name", text, { hint: changeHint(referenceKey(reference)) })];
  });
}
