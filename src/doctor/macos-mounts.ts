// Checks a risk of mounts that macOS makes (driver `netfs`): outside /Volumes it asks before it mounts.
import type { DoctorFinding } from "../api/doctor-report.ts";
import type { ShareConfig } from "../config/snapshot.ts";
import { findingsOf } from "./context.ts";

const finding = findingsOf("shares");

/** Where macOS makes mount folders without asking. */
const VOLUMES = "/Volumes";

/**
 * Checks the folder in which shares are mounted, for driver `netfs` only. `mountRoot` null: there is no
 * configuration.
 */
export function examineMountRoot(
  mountRoot: string | null,
  shares: readonly Pick<ShareConfig, "driver" | "shareName">[],
): DoctorFinding[] {
  const names = shares.filter(({ driver }) => driver === "netfs").map(({ shareName }) => shareName);
  if (mountRoot === null || mountRoot === VOLUMES || names.length === 0) return [];
  // Two shares of the same name cannot both be mounted in /Volumes, so they need another mount root.
  const isNeeded = new Set(names).size < names.length;
  const text = `shares are mounted in ${mountRoot}: since macOS 15 the system may ask you about each mount outside ${VOLUMES}, and the share waits for your answer`;
  const hint = isNeeded
    ? "allow each mount when you are asked; two of your shares have one name on their servers, which needs a folder of yours"
    : `leave mount_root out, or set it to "${VOLUMES}"`;
  const severity = isNeeded ? "info" : "warning";
  return [finding(severity, "mount_root_outside_volumes", text, { subject: "global.mount_root", hint })];
}
