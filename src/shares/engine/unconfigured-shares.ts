// Unconfigured shares: no longer in the file, but still mounted. Their mounts are found, so that a person can unmount them
// by name.
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

interface LeftSharesTools {
  readonly clock: Clock;
  readonly memory: Pick<StateStore, "forget">;
  /** A mount belongs to the first of them that made it. */
  readonly drivers: readonly MountDriver[];
}

export function createUnconfiguredShares({ clock, memory, drivers }: LeftSharesTools) {
  const shares = new Map<string, UnconfiguredShare>();
  let mounted: readonly UnconfiguredShare[] = [];
  let lookedAtMs = Number.NEGATIVE_INFINITY;

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

  const lookNow = async (): Promise<void> => {
    lookedAtMs = clock.monotonicMs();
    const looks = [...shares].map(async ([name, left]) => {
      // Without an answer of the mount table, nothing is known to have changed.
      const before = mounted.find(({ spec }) => spec.name === name) ?? left;
      const found = await find(left).catch(() => before);
      if (found !== null || shares.get(name) !== left) return found ?? [];
      shares.delete(name);
      await memory.forget(name);
      return [];
    });
    mounted = (await Promise.all(looks)).flat();
  };
  let looking = Promise.resolve();
  /** Looks which shares are mounted, and forgets the others. Never rejects. */
  const look = (): Promise<void> => {
    looking = looking.then(lookNow);
    return looking;
  };

  return {
    look,
    keep(share: UnconfiguredShare): void {
      shares.set(share.spec.name, share);
      void look();
    },
    /** The share is configured again. */
    drop: (name: string): void => void shares.delete(name),
    /** The mounted ones, as they were found last. */
    known(): readonly UnconfiguredShare[] {
      if (shares.size > 0 && clock.monotonicMs() - lookedAtMs >= KNOWN_MS) void look();
      return mounted.filter(({ spec }) => shares.has(spec.name));
    },
  };
}
