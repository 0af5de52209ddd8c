// Owns what a share's driver takes over from the one before it: a link where SMB is wanted now, or the other way round,
// goes by the hand of the driver that made it, and only when nobody has files open.
import type { ShareSpec } from "../share-spec.ts";
import type { FoundMount, MountDriver } from "./mount-driver.ts";

export interface DrivenShare {
  readonly spec: ShareSpec;
  readonly driver: MountDriver;
}

export interface DriverSuccession {
  /** The driver for `next`, who also sees and unmounts what former drivers of the share have left standing. */
  take(before: DrivenShare, next: DrivenShare): MountDriver;
}

/** Of one share. A former driver is forgotten once nothing that it mounted stands. */
export function createDriverSuccession(): DriverSuccession {
  const former = new Map<MountDriver, ShareSpec>();
  return {
    take(before, next) {
      if (before.driver !== next.driver) former.set(before.driver, before.spec);
      // Drivers of SMB know each other's mounts.
      for (const driver of former.keys()) if (isLocal(driver) === isLocal(next.driver)) former.delete(driver);
      return former.size === 0 ? next.driver : withFormer(next.driver, former);
    },
  };
}

function isLocal({ name }: MountDriver): boolean {
  return name === "local";
}

function withFormer(driver: MountDriver, former: Map<MountDriver, ShareSpec>): MountDriver {
  /** By what was found last. */
  let makers = new Map<string, DrivenShare>();
  const makerOf = ({ id }: FoundMount): DrivenShare | null => makers.get(id) ?? null;
  const unsentOf = async (share: ShareSpec): Promise<readonly string[]> => {
    const all = await Promise.all([
      driver.unsent(share),
      ...[...former].map(([each, spec]) => each.unsent(spec)),
    ]);
    return all.flat();
  };
  return {
    ...driver,
    async find(share, notBeforeMs) {
      const left: FoundMount[] = [];
      const found = new Map<string, DrivenShare>();
      for (const [each, spec] of [...former]) {
        const made = (await each.find(spec, notBeforeMs)).filter((mount) => mount.madeByDriver);
        if (made.length === 0) former.delete(each);
        for (const mount of made) found.set(mount.id, { driver: each, spec });
        // No route explains it: it is mounted anew as soon as nothing on it is open.
        left.push(...made.map((mount) => ({ ...mount, sameShare: true, route: null })));
      }
      makers = found;
      // What stands in its place may hang, and is not looked at by who did not make it.
      const isTaken = left.some(({ path }) => path === share.mountPath);
      return isTaken ? left : [...(await driver.find(share, notBeforeMs)), ...left];
    },
    unmount(share, mount, mode, limits) {
      const maker = makerOf(mount);
      return maker === null
        ? driver.unmount(share, mount, mode, limits)
        : maker.driver.unmount(maker.spec, mount, mode, limits);
    },
    unsent: unsentOf,
    async setAside(share) {
      const all = await Promise.all([
        driver.setAside?.(share) ?? [],
        ...[...former].map(([each, spec]) => each.setAside?.(spec) ?? []),
      ]);
      return all.flat();
    },
    ownProcesses(share, mount) {
      const maker = makerOf(mount);
      return maker === null
        ? driver.ownProcesses(share, mount)
        : maker.driver.ownProcesses(maker.spec, mount);
    },
    openFilesPath: (mount) => (makerOf(mount)?.driver ?? driver).openFilesPath(mount),
    onMountProcessExit(listener) {
      const unregisters = [driver, ...former.keys()].map((each) => each.onMountProcessExit?.(listener));
      return () => {
        for (const unregister of unregisters) unregister?.();
      };
    },
  };
}
