// What the doctor says of the folder that shares are mounted in, where macOS itself mounts them.
import type { DoctorFinding } from "../api/doctor-report.ts";
import type { ShareConfig } from "../config/snapshot.ts";
import { findingsOf } from "./context.ts";

const finding = findingsOf("shares");
/** The one place where macOS makes the folders itself, and asks nobody. */
const VOLUMES = "/Volumes";

/** Only for driver `netfs`. `mountRoot` null: there is no configuration. */
export function examineMountRoot(
  mountRoot: string | null,
  shares: readonly Pick<ShareConfig, "driver" | "shareName">[],
): DoctorFinding[] {
  const names = shares.filter(({ driver }) => driver === "netfs").map(({ shareName }) => shareName);
  if (mountRoot === null || mountRoot === VOLUMES || names.length === 0) return [];
  // There they could not both be mounted: whoever has such shares has no choice.
  const isNeeded = new Set(names).size < names.length;
  const text = `shares are mounted in ${mountRoot}: since macOS 15 the system may ask you about each mount outside ${VOLUMES}, and the share waits for your answer`;
  const hint = isNeeded
    ? "allow each mount when you are asked; two of your shares have one name on their servers, which needs a folder of yours"
    : `leave mount_root out, or set it to "${VOLUMES}"`;
  const severity = isNeeded ? "info" : "warning";
  return [finding(severity, "mount_root_outside_volumes", text, { subject: "global.mount_root", hint })];
}
