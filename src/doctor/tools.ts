// Says what a newer rclone, or smbclient, would improve on this machine.
import { delimiter } from "node:path";
import type { DoctorFinding } from "../api/doctor-report.ts";
import { rcloneProgram } from "../rclone-release/installed.ts";
import { readRcloneVersion } from "../rclone-release/rclone-version.ts";
import { findProgram } from "../runtime/process/find-program.ts";
import type { MissingRequirement } from "../shares/drivers/mount-driver.ts";
import { stockCosts } from "../shares/drivers/rclone/version.ts";
import { type DoctorContext, findingsOf } from "./context.ts";

const finding = findingsOf("tools");

export interface SpeedCheck {
  /** See `stockCosts`. */
  readonly rcloneCosts: MissingRequirement | null;
  /** Whether smbclient is installed: no other program reads the creation times of files on a server. */
  readonly hasSmbclient: boolean;
}

/**
 * Findings about what would make shares of driver `rclone` faster or safer. Empty if no share has this
 * driver.
 */
export async function examineSpeed({ snapshot, clock, home }: DoctorContext): Promise<DoctorFinding[]> {
  const shares = snapshot?.config.shares ?? [];
  if (!shares.some(({ driver }) => driver === "rclone")) return [];
  const [rcloneCosts, smbclient] = await Promise.all([
    rcloneProgram(home)
      .then((rclone) => readRcloneVersion(clock, rclone))
      .then(stockCosts),
    findProgram("smbclient", (process.env["PATH"] ?? "").split(delimiter)),
  ]);
  return speedFindings({ rcloneCosts, hasSmbclient: smbclient !== null });
}

export function speedFindings({ rcloneCosts, hasSmbclient }: SpeedCheck): DoctorFinding[] {
  const found: DoctorFinding[] = [];
  if (!hasSmbclient) {
    const text =
      "without smbclient, Mountaineer cannot distinguish your NAS from a clone with its name and files";
    const hint = "install smbclient (apt install smbclient, brew install samba)";
    found.push(finding("warning", "clones_look_alike", text, { hint }));
  }
  if (rcloneCosts !== null) {
    const hint = `${rcloneCosts.hint}; each share uses it from its next mount on`;
    found.push(finding("info", "stock_rclone", rcloneCosts.text, { hint }));
  }
  return found;
}
