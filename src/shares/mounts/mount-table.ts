// Picks the platform's mount table.

import { MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountTable } from "./mount-entry.ts";
import { createMountTableDarwin } from "./mount-table-darwin.ts";
import { createMountTableLinux } from "./mount-table-linux.ts";

export function createMountTable({ clock }: { readonly clock: Clock }): MountTable {
  if (process.platform === "linux") return createMountTableLinux({ clock });
  if (process.platform === "darwin") return createMountTableDarwin({ clock });
  return {
    read: () =>
      Promise.reject(
        new MountaineerError("driver_unavailable", `mounts cannot be listed on ${process.platform}`),
      ),
  };
}
