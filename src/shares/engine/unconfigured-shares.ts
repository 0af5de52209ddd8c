// Unconfigured shares: no longer in the file, but still mounted. Their mounts are found, so that a person can unmount
// them by name.
import type { ShareMemory, StateStore } from "../../reconcile/state-store.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountDriver } from "../drivers/mount-driver.ts";
import { parseSmbSource } from "../smb-source.ts";
import type { ConfiguredShare } from "./share-subject.ts";

/** A share that is no longer configured; if it is mounted, as its mount shows it. */
export interface UnconfiguredShare extends ConfiguredShare {
  readonly memory: ShareMemory;
}

/** How long what was found is used, ms. */
const KNOWN_MS = 2_000;

interface UnconfiguredSharesTools {
  readonly clock: Clock;
  readonly memory: Pick<StateStore, "forget">;
  /** A mount belongs to the first of them that made it. */
  readonly drivers: readonly MountDriver[];
}

export function createUnconfiguredShares({ clock, memory, drivers }: UnconfiguredSharesTools) {
  const shares = new Map<string, UnconfiguredShare>();
  let mounted: readonly UnconfiguredShare[] = [];
  let checkedAtMs = Number.NEGATIVE_INFINITY;

  const find = async (left: UnconfiguredShare): Promise<UnconfiguredShare | null> => {
    for (const driver of drivers) {
      const spec = { ...left.spec, driver: driver.name };
      const own = (await driver.find(spec, clock.monotonicMs())).find(({ sameShare, madeByDriver, path }) =>
        // netfs takes any mount at a path outside /Volumes for its own.
        sameShare ? madeByDriver || path === spec.mountPath : madeByDriver && driver.name !== "netfs",
      );
      if (own === undefined) continue;
      const shareName = parseSmbSource(own.source)?.shareNames[0] ?? spec.shareName;
      return { ...left, spec: { ...spec, shareName, mountPath: own.path }, driver };
    }
    return null;
  };

  const checkNow = async (): Promise<void> => {
    checkedAtMs = clock.monotonicMs();
    const checks = [...shares].map(async ([name, left]) => {
      // Without an answer of the mount table, nothing is known to have changed.
      const before = mounted.find(({ spec }) => spec.name === name) ?? left;
      const found = await find(left).catch(() => before);
      if (found !== null || shares.get(name) !== left) return found ?? [];
      shares.delete(name);
      await memory.forget(name);
      return [];
    });
    mounted = (await Promise.all(checks)).flat();
  };
  let checking = Promise.resolve();
  /** Looks which shares are mounted, and forgets the others. Never rejects. */
  const check = (): Promise<void> => {
    checking = checking.then(checkNow);
    return checking;
  };

  return {
    check,
    keep(share: UnconfiguredShare): void {
      shares.set(share.spec.name, share);
      void check();
    },
    /** The share is configured again. */
    drop: (name: string): void => void shares.delete(name),
    /** The mounted ones, as they were found last. */
    known(): readonly UnconfiguredShare[] {
      if (shares.size > 0 && clock.monotonicMs() - checkedAtMs >= KNOWN_MS) void check();
      return mounted.filter(({ spec }) => shares.has(spec.name));
    },
  };
}
