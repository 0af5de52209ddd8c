// Checks how much the kernel reads ahead on this home's mounts of mountaineer-fs, and whether the program may change that with its route.
import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { DoctorFinding } from "../api/doctor-report.ts";
import { errorText } from "../runtime/errors.ts";
import { shellCommand } from "../runtime/text/plain-text.ts";
import type { MountEntry } from "../shares/mounts/mount-entry.ts";
import { findingsOf } from "./context.ts";

const finding = findingsOf("shares");

/** `root`: where this home mounts shares, without links. `devices`: /sys/class/bdi. */
export async function examineReadAhead(
  mounts: readonly Pick<MountEntry, "type" | "path" | "options" | "deviceMinor">[],
  root: string | null,
  devices: string,
): Promise<DoctorFinding[]> {
  const user = `user_id=${process.getuid?.() ?? 0}`;
  const ours = mounts.filter(
    ({ type, path, options }) =>
      type === "fuse.mountaineer-fs" && options.includes(user) && dirname(path) === root,
  );
  const found = await Promise.all(
    ours.map(async ({ path, deviceMinor }) => {
      const file = join(devices, `0:${deviceMinor}`, "read_ahead_kb");
      // The mount may have ended since.
      const kib = await readFile(file, "utf8").catch(() => null);
      if (kib === null) return [];
      const denied = await access(file, constants.W_OK).then(() => null, errorText);
      const text = `the kernel reads ${kib.trim()} KiB ahead on ${path}`;
      if (denied === null) return [finding("ok", "read_ahead", text)];
      const hint = `fine below 2 Gbit/s; on a faster route 1024 cost less CPU: the deb and rpm packages allow it, or as root: ${shellCommand`chown USER ${file}`}`;
      return [finding("info", "read_ahead_fixed", `${text}, whatever its route`, { hint })];
    }),
  );
  return found.flat();
}
