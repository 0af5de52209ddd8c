// Owns the links people use: which of them are ours, and what stands in the way of one.
import type { Prober } from "../shares/prober.ts";
import type { ShareSpec } from "../shares/share-spec.ts";
import { ensureStableLink } from "../shares/stable-link.ts";

/** How long the prober may take to look at a link, ms. */
const LOOK_MS = 1000;

/**
 * Makes sure of a share's link to `target`, where it is mounted or will be. A link is ours when it leads to the
 * share's own mount path, or to a mount that this process has pointed it to. Resolves with what blocks it, or null.
 */
export function createStableLinks(
  prober: Prober,
): (spec: ShareSpec, target: string) => Promise<string | null> {
  const pointedTo = new Map<string, Set<string>>();
  return async ({ name, stablePath, mountPath }, target) => {
    const known = pointedTo.get(name) ?? new Set();
    pointedTo.set(name, known.add(target).add(mountPath));
    const isOurs = (found: string): boolean => known.has(found);
    const outcome = await ensureStableLink({ prober, path: stablePath, target, isOurs, waitMs: LOOK_MS });
    return outcome.result === "blocked" ? outcome.by : null;
  };
}
