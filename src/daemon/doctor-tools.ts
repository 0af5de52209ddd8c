// Owns what the doctor says of the programs and devices that mounting needs, for the drivers that are configured.
import { access, constants } from "node:fs/promises";
import type { DoctorFinding } from "../api/doctor-report.ts";
import { systemErrorCode } from "../runtime/errors.ts";
import { type DoctorContext, findingsOf } from "./doctor-context.ts";

const finding = findingsOf("tools");
const FUSE = "/dev/fuse";

/** The drivers of the configured shares, each with what it lacks. */
export async function examineTools({ snapshot, parts }: DoctorContext): Promise<DoctorFinding[]> {
  const shares = snapshot?.config.shares ?? [];
  const names = [...new Set(shares.map(({ driver }) => driver))];
  const found = await Promise.all(
    names.map(async (name) => {
      const driver = parts.drivers[name];
      const lacking = await driver.unavailable();
      if (lacking === null) return [finding("ok", "driver", `all that driver ${name} needs is here`)];
      const code = /fusermount|\/dev\/fuse/.test(lacking.text) ? "fuse_missing" : "driver_unavailable";
      const told = finding("error", code, lacking.text, { hint: lacking.hint });
      return lacking.text.includes(FUSE) ? [(await fuseDenied()) ?? told] : [told];
    }),
  );
  return found.flat();
}

/** Whether the device is there and closed to this user; null: it is not there, or open. */
export async function fuseDenied(path = FUSE): Promise<DoctorFinding | null> {
  try {
    await access(path, constants.R_OK | constants.W_OK);
    return null;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== "EACCES" && code !== "EPERM") return null;
    return finding("error", "fuse_denied", `${path} is there, but this user may not open it (${code})`, {
      hint: `allow it: it is usually open to all (chmod 666), or to a group: ls -l ${path}`,
    });
  }
}
