// Checks how much the kernel reads ahead on mounts of mountaineer-fs, and whether the program may change that with its route.
import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { DoctorFinding } from "../api/doctor-report.ts";
import { shellCommand } from "../runtime/text/plain-text.ts";
import type { MountEntry } from "../shares/mounts/mount-entry.ts";
import { findingsOf } from "./context.ts";

const finding = findingsOf("shares");

/** `devices`: /sys/class/bdi. */
export async function examineReadAhead(
  mounts: readonly Pick<MountEntry, "type" | "path" | "deviceMinor">[],
  devices: string,
): Promise<DoctorFinding[]> {
  const ours = mounts.filter(({ type }) => type === "fuse.mountaineer-fs");
  const found = await Promise.all(
    ours.map(async ({ path, deviceMinor }) => {
      const file = join(devices, `0:${deviceMinor}`, "read_ahead_kb");
      // The mount may have ended since.
      const kib = await readFile(file, "utf8").catch(() => null);
      if (kib === null) return [];
      const isFree = await access(file, constants.W_OK).then(
        () => true,
        () => false,
      );
      const text = `the kernel reads ${kib.trim()} KiB ahead on ${path}`;
      if (isFree) return [finding("ok", "read_ahead", text)];
      const chown = shellCommand`chown USER ${file}`;
      const hint = `fine below 2 Gbit/s; on a faster route 1024 cost less CPU: the deb and rpm packages allow it, or as root: ${chown}`;
      return [finding("info", "read_ahead_fixed", `${text}, whatever its route`, { hint })];
    }),
  );
  return found.flat();
}
