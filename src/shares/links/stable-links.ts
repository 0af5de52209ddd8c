// The stable links of the configured shares, symlinks to their mounts: made, repaired and checked. Aliases are symlinks
// to folders of a share (`alias-links.ts`).
import { dirname, resolve } from "node:path";
import { recoverFrom } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { LinkBlocked } from "../policy/share-observation.ts";
import type { Prober } from "../prober/prober.ts";
import type { ShareSpec } from "../share-spec.ts";
import { blocked, ensureLink, judgeLink, removeLink } from "./stable-link.ts";

const READ_LINKS_MS = 1000;
/** Minimum time between two checks of a correct link, ms: checks are not free. */
const RECHECK_MS = 2_000;
/**
 * If checks get no answer in time, as on a busy machine, a link that was right counts as right for this long,
 * ms.
 */
const BELIEVED_MS = 60_000;

interface KnownLink {
  /** Targets that this process has given the link. */
  readonly targets: Set<string>;
  right: { readonly target: string; readonly atMs: number } | null;
}

/** A link is ours if it leads to the share's own mount path, or to a target that this process has given it. */
export function createStableLinks(clock: Clock, prober: Prober) {
  const links = new Map<string, KnownLink>();
  const ensureNow = async (
    { stablePath: path, mountPath }: ShareSpec,
    target: string,
  ): Promise<LinkBlocked | null> => {
    const link: KnownLink = links.get(path) ?? { targets: new Set(), right: null };
    links.set(path, link);
    const atMs = clock.monotonicMs();
    link.targets.add(target).add(mountPath);
    const isOurs = (found: string): boolean => link.targets.has(resolve(dirname(path), found));
    const outcome = await ensureLink(path, target, await prober.readLink(path, READ_LINKS_MS), isOurs);
    const wasRight = link.right?.target === target && atMs - link.right.atMs < BELIEVED_MS;
    const fault = outcome.result === "blocked" ? outcome : null;
    if (fault?.why === "late" && wasRight) return null;
    link.right = fault === null ? { target, atMs } : null;
    return fault;
  };
  return {
    /**
     * Ensures the stable link to `target`, and resolves with the obstacle, if any. Returns null if a recent
     * look found the link right.
     */
    ensure(spec: ShareSpec, target: string): Promise<LinkBlocked | null> | null {
      const right = links.get(spec.stablePath)?.right;
      const isKnown = right?.target === target && clock.monotonicMs() - right.atMs < RECHECK_MS;
      return isKnown ? null : ensureNow(spec, target);
    },
    /** Like `ensure`, but checks the link even if a recent check found it correct. */
    ensureNow,
    /** Removes the stable link if it is ours, and nothing else at its path. */
    async remove({ stablePath: path, mountPath }: ShareSpec): Promise<void> {
      const reading = await prober.readLink(path, READ_LINKS_MS);
      if (reading.state !== "link") return;
      const target = resolve(dirname(path), reading.target);
      if (target === mountPath || links.get(path)?.targets.has(target) === true)
        await removeLink(path).catch(recoverFrom(["ENOENT", "EACCES", "EPERM", "EROFS"]));
    },
    /**
     * Checks the stable link without changing it, and resolves with its fault, if any. `mountedAt` null: the share is
     * not mounted.
     */
    async check({ stablePath, mountPath }: ShareSpec, mountedAt: string | null): Promise<LinkBlocked | null> {
      const reading = await prober.readLink(stablePath, READ_LINKS_MS);
      // A link with another target is wrong even if it is ours.
      const found = judgeLink(reading, stablePath, mountedAt ?? mountPath, () => false);
      if (typeof found !== "string") return found;
      // A share that is not mounted may have no link yet.
      return found === "right" || mountedAt === null ? null : blocked(`${stablePath} is missing`, "failed");
    },
  };
}

export type StableLinks = ReturnType<typeof createStableLinks>;
