// A change of a share's driver: what the former driver mounted or linked is removed by that driver, and only when no
// files are open.
import { errorText } from "../../runtime/errors.ts";
import type { ShareSpec } from "../share-spec.ts";
import type { FoundMount, MountDriver } from "./mount-driver.ts";
import { unmountFailed } from "./mount-failure.ts";

interface DrivenShare {
  readonly spec: ShareSpec;
  readonly driver: MountDriver;
}

/**
 * A period in which a share has drivers of one kind only: `local` or SMB. A change between two SMB drivers
 * begins no new period, because they recognize each other's mounts.
 */
interface DriverPeriod {
  /** Drivers of the other kind that the share may have had before; their mounts may still be there. */
  readonly former: Map<MountDriver, ShareSpec>;
  /** A cycle has begun with a driver of this kind, so no step of a former driver is still under way. */
  hasBegun: boolean;
}

export type DriverSuccession = ReturnType<typeof createDriverSuccession>;

/**
 * Keeps the share's present driver, and each former driver until that driver has no mount and makes no new one.
 * `drivers`: all drivers that the share may have had; a mount belongs to the first one that recognizes it.
 */
export function createDriverSuccession(drivers: readonly MountDriver[]) {
  const periodOf = (driver: MountDriver, spec: ShareSpec, before: readonly MountDriver[]): DriverPeriod => {
    const others = [...before, ...drivers].filter((each) => isLocal(each) !== isLocal(driver));
    return { former: new Map(others.map((each) => [each, spec])), hasBegun: false };
  };
  let period: DriverPeriod = { former: new Map(), hasBegun: false };
  const succeed = (driver: MountDriver): MountDriver =>
    period.former.size === 0 ? driver : withFormer(driver, period);
  return {
    /**
     * Returns the driver for a share that is new to this process. The driver also sees mounts that were left by
     * drivers of the other kind (`local` or SMB).
     */
    begin({ driver, spec }: DrivenShare): MountDriver {
      period = periodOf(driver, spec, []);
      return succeed(driver);
    },
    /**
     * Returns the driver for the new share. It also sees and unmounts what former drivers of the share have left
     * mounted.
     */
    take(before: DrivenShare, { driver }: DrivenShare): MountDriver {
      // Steps of the previous driver may still run. They change only their own `former` map, not the new one.
      if (isLocal(before.driver) !== isLocal(driver)) period = periodOf(driver, before.spec, [before.driver]);
      return succeed(driver);
    },
    /** Call it when a cycle of the newest driver begins and all earlier cycles have ended. */
    cycleBegins(): void {
      period.hasBegun = true;
    },
  };
}

function isLocal({ name }: MountDriver): boolean {
  return name === "local";
}

function withFormer(driver: MountDriver, period: DriverPeriod): MountDriver {
  const { former } = period;
  /**
   * For each mount of the last check, by its id: the driver that made it, and the share's configuration then.
   */
  let makers = new Map<string, DrivenShare>();
  const makerOf = ({ id }: FoundMount, spec: ShareSpec): DrivenShare => makers.get(id) ?? { driver, spec };
  /**
   * Returns the mounts that a driver finds. If the driver cannot look, returns null, or rejects if the previous check
   * found a mount of that driver.
   */
  const findMounts = async (each: MountDriver, spec: ShareSpec, notBeforeMs: number) => {
    try {
      return await each.find(spec, notBeforeMs);
    } catch (error) {
      if (makers.values().some((maker) => maker.driver === each)) throw error;
      return null;
    }
  };
  /** The mounts of `driver` that were found last; null: not searched yet. */
  let known: readonly FoundMount[] | null = null;
  const find: MountDriver["find"] = async (share, notBeforeMs) => {
    const left: FoundMount[] = [];
    const found = new Map<string, DrivenShare>();
    const { hasBegun } = period;
    const own = isLocal(driver) ? null : await driver.find(share, notBeforeMs);
    for (const [each, spec] of [...former]) {
      // Where an SMB mount is, there is no link of `local`; looking for one might hang.
      const isMount = own?.some(({ path }) => path === spec.mountPath) ?? false;
      const listed = isMount ? [] : await findMounts(each, spec, notBeforeMs);
      if (listed === null) continue;
      const made = listed.filter((mount) => mount.madeByDriver && !found.has(mount.id));
      if (made.length === 0 && hasBegun) former.delete(each);
      for (const mount of made) found.set(mount.id, { driver: each, spec });
      // `route: null` makes the engine remount the share as soon as no file on this mount is open.
      left.push(...made.map((mount) => ({ ...mount, sameShare: true, route: null, former: true }) as const));
    }
    makers = found;
    // A mount at the share's path may hang, so only the driver that made it checks it.
    const isTaken = own === null && left.some(({ path }) => path === share.mountPath);
    known = isTaken ? [] : (own ?? (await driver.find(share, notBeforeMs)));
    return [...known, ...left];
  };
  return {
    ...driver,
    find,
    async unmount(share, mount, mode, limits) {
      // If the mount was found before the driver changed, this driver has not yet noted which driver made the mount.
      try {
        if (known === null) await find(share, 0);
      } catch (error) {
        return unmountFailed(errorText(error));
      }
      const { driver: maker, spec } = makerOf(mount, share);
      return maker.unmount(spec, mount, mode, limits);
    },
    async setAside(share) {
      const all = [[driver, share] as const, ...former];
      return (await Promise.all(all.map(([each, spec]) => each.setAside?.(spec) ?? []))).flat();
    },
    ownProcesses(share, mount) {
      const { driver: maker, spec } = makerOf(mount, share);
      return maker.ownProcesses(spec, mount);
    },
    openFilesPath: (mount) => (makers.get(mount.id)?.driver ?? driver).openFilesPath(mount),
    onMountProcessExit(listener) {
      const unregisters = [driver, ...former.keys()].map((each) => each.onMountProcessExit?.(listener));
      return () => {
        for (const unregister of unregisters) unregister?.();
      };
    },
  };
}
