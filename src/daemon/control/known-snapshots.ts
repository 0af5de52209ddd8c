// The snapshots of shares, as far as they are known, for the audit. No question waits: the first one about a share has it asked, and gets
// nothing.
import type { ServedBackend } from "../../config/snapshot.ts";
import { type Clock, isoTime } from "../../runtime/time/clock.ts";
import type { ShareEngine } from "../../shares/engine/share-engine.ts";
import type { Prober } from "../../shares/prober/prober.ts";
import { usableMount } from "./required-shares.ts";

/** At most so often a share is asked, ms. */
const BETWEEN_QUESTIONS_MS = 300_000;
const ANSWER_MS = 5_000;
/** The folder in which mountaineer-fs shows snapshots, by their times. */
const VERSIONS = ".versions";

interface Known {
  readonly readAtMs: number;
  times: readonly string[];
}

export function createKnownSnapshots({
  clock,
  engine,
  prober,
}: {
  readonly clock: Clock;
  readonly engine: () => Pick<ShareEngine, "names" | "view"> | null;
  readonly prober: Pick<Prober, "folders">;
}) {
  const known = new Map<string, Known>();
  const read = (share: string, mount: string): Known => {
    const reading: Known = { readAtMs: clock.monotonicMs(), times: known.get(share)?.times ?? [] };
    known.set(share, reading);
    void prober.folders(mount, VERSIONS, ANSWER_MS).then((listing) => {
      if (listing !== null) reading.times = listing.state === "listed" ? listing.folders.toSorted() : [];
    });
    return reading;
  };
  /** The newest snapshot before that wall time of each share that the backend requires or has a folder in. */
  return ({ requires, folders }: ServedBackend, wallMs: number): Readonly<Record<string, string>> => {
    if (requires.length === 0 && folders === undefined) return {};
    const now = engine();
    const found = (now?.names ?? []).flatMap((share) => {
      const view = now?.view(share);
      const path = view?.subject.spec.stablePath;
      const isUsed =
        requires.some((one) => one.share === share) ||
        folders?.some((folder) => folder === path || folder.startsWith(`${path}/`));
      const mount = usableMount(view ?? null);
      if (isUsed !== true || mount === null) return [];
      const before = known.get(share);
      const isFresh = before !== undefined && clock.monotonicMs() - before.readAtMs < BETWEEN_QUESTIONS_MS;
      const { times } = isFresh ? before : read(share, mount.path);
      const newest = times.findLast((time) => time <= isoTime(wallMs));
      return newest === undefined ? [] : [[share, newest] as const];
    });
    return Object.fromEntries(found);
  };
}
