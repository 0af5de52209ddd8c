// Checks the programs and devices that the configured drivers need.
import type { DoctorFinding } from "../api/doctor-report.ts";
import { type DoctorContext, findingsOf } from "./context.ts";

const finding = findingsOf("tools");

/** The drivers of the configured shares, each with what it lacks. */
export function examineTools({ snapshot, parts }: DoctorContext): Promise<DoctorFinding[]> {
  const shares = snapshot?.config.shares ?? [];
  const names = [...new Set(shares.map(({ driver }) => driver))];
  return Promise.all(
    names.map(async (name) => {
      const lacking = await parts.drivers[name].unavailable();
      if (lacking === null) return finding("ok", "driver", `all that driver ${name} needs is here`);
      const { text, hint, fuse } = lacking;
      return finding("error", fuse === undefined ? "driver_unavailable" : `fuse_${fuse}`, text, { hint });
    }),
  );
}
