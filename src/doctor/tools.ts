// Says what a newer rclone, or the kernel's own SMB
// client, would improve on this machine.

import { readFile } from "node:fs/promises";
import { release } from "node:os";
import { delimiter } from "node:path";
import type { DoctorFinding } from "../api/doctor-report.ts";
import { rcloneProgram } from "../rclone-release/installed.ts";
import { readRcloneVersion } from "../rclone-release/rclone-version.ts";
import { isSystemError, recoverFrom } from "../runtime/errors.ts";
import { findProgram } from "../runtime/process/find-program.ts";
import type { MissingRequirement } from "../shares/drivers/mount-driver.ts";
import { stockCosts } from "../shares/drivers/rclone/version.ts";
import { type DoctorContext, findingsOf } from "./context.ts";

const finding = findingsOf("tools");

export interface SpeedCheck {
  /** See `stockCosts`. */
  readonly rcloneCosts: MissingRequirement | null;
  /** Whether the kernel has its own SMB client, built in or as a module. */
  readonly kernelHasCifs: boolean;
  readonly cifsLacks: MissingRequirement | null;
  /** Whether smbclient is installed: no other program reads the creation times of files on a server. */
  readonly hasSmbclient: boolean;
}

/**
 * Findings about what would make shares of driver `rclone` faster or safer. Empty if no share has this
 * driver.
 */
export async function examineSpeed({
  snapshot,
  clock,
  home,
  parts,
}: DoctorContext): Promise<DoctorFinding[]> {
  const shares = snapshot?.config.shares ?? [];
  if (!shares.some(({ driver }) => driver === "rclone")) return [];
  const [rcloneCosts, kernelHasCifs, cifsLacks, smbclient] = await Promise.all([
    rcloneProgram(home)
      .then((rclone) => readRcloneVersion(clock, rclone))
      .then(stockCosts),
    hasCifs({ filesystems: "/proc/filesystems", modules: `/lib/modules/${release()}` }),
    parts.drivers.cifs.missingRequirement(),
    findProgram("smbclient", (process.env["PATH"] ?? "").split(delimiter)),
  ]);
  return speedFindings({ rcloneCosts, kernelHasCifs, cifsLacks, hasSmbclient: smbclient !== null });
}

export function speedFindings(check: SpeedCheck): DoctorFinding[] {
  const { rcloneCosts, kernelHasCifs, cifsLacks } = check;
  const found: DoctorFinding[] = [];
  if (!check.hasSmbclient) {
    const text =
      "without smbclient, Mountaineer cannot distinguish your NAS from a clone with its name and files";
    const hint = "install smbclient (apt install smbclient, brew install samba)";
    found.push(finding("warning", "clones_look_alike", text, { hint }));
  }
  if (rcloneCosts !== null) {
    const hint = `${rcloneCosts.hint}; each share uses it from its next mount on`;
    found.push(finding("info", "stock_rclone", rcloneCosts.text, { hint }));
  }
  if (kernelHasCifs && cifsLacks === null) {
    const text =
      "the kernel's own SMB client can mount here; large files may be faster with it than with rclone";
    const hint = 'set driver = "cifs" for the share; docs/reference/drivers.md says what else changes';
    found.push(finding("info", "cifs_possible", text, { hint }));
  } else if (kernelHasCifs && cifsLacks !== null) {
    const text = `large files might be faster with the kernel's own SMB client, but ${cifsLacks.text}`;
    found.push(finding("info", "cifs_lacking", text, { hint: cifsLacks.hint }));
  }
  return found;
}

interface KernelPaths {
  /** The file in which the kernel lists the file systems that it can mount now. */
  readonly filesystems: string;
  readonly modules: string;
}

/**
 * True if the kernel has an SMB client. modules.dep lists loadable modules; the kernel's list has built-in
 * and loaded ones.
 */
export async function hasCifs({ filesystems, modules }: KernelPaths): Promise<boolean> {
  const [listed, loadable] = await Promise.all([
    readFile(filesystems, "utf8").catch(recoverFrom(isSystemError, "")),
    readFile(`${modules}/modules.dep`, "utf8").catch(recoverFrom(isSystemError, "")),
  ]);
  return /^(nodev)?\s*cifs$/m.test(listed) || /\/cifs\.ko(\.\w+)?:/.test(loadable);
}
