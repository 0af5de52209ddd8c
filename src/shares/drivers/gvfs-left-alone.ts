// Shares that the desktop (GVfs) has mounted: a driver uses them and stops using them, and never unmounts them.
import { isGvfsMount } from "../mounts/mount-table-gvfs.ts";
import type { MountDriver } from "./mount-driver.ts";

/**
 * The driver, changed so that unmounting GVfs's mount only means to stop using it: its files stay open, and nothing is
 * cut off. From then on the mount is not found, except as a twin that is left alone beside ours. It is used again when
 * the desktop mounts it anew.
 */
export function leavingGvfsAlone(driver: MountDriver): MountDriver {
  const letGo = new Set<string>();
  return {
    ...driver,
    async find(share, notBeforeMs) {
      const found = await driver.find(share, notBeforeMs);
      if (letGo.size === 0 || !found.some(({ id }) => letGo.has(id))) return found;
      return found.some(({ id, sameShare }) => sameShare && !letGo.has(id))
        ? found
        : found.filter(({ id }) => !letGo.has(id));
    },
    async unmount(share, mount, mode, limits) {
      if (!isGvfsMount(mount)) return driver.unmount(share, mount, mode, limits);
      if (limits.signal.aborted) return { ok: false, reason: "failed", text: "cancelled" };
      letGo.add(mount.id);
      return { ok: true };
    },
    async ownProcesses(share, mount) {
      return isGvfsMount(mount) ? [] : driver.ownProcesses(share, mount);
    },
  };
}
