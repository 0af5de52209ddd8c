// Checks who else may write the home, the configuration, the secrets and the sockets, or read the configuration.
import type { DoctorFinding } from "../api/doctor-report.ts";
import { exposuresHere, placeFaults } from "../daemon/compose/private-places.ts";
import { type DoctorContext, findingsOf } from "./context.ts";

const finding = findingsOf("home");

/** What others may read in the home is among the findings of the home itself. */
export async function examinePrivatePlaces({
  home,
  snapshot,
}: Pick<DoctorContext, "home" | "snapshot">): Promise<DoctorFinding[]> {
  if (snapshot === null) return [];
  const faults = placeFaults(await exposuresHere(home, snapshot.path), snapshot);
  return faults
    .filter(({ severity, path }) => severity === "error" || path === snapshot.path)
    .map(({ severity, code, path, text, hint }) => finding(severity, code, text, { subject: path, hint }));
}
