// Owns the links people use: which of them are ours, and what stands in the way of one.
import type { Clock } from "../runtime/clock.ts";
import type { Prober } from "../shares/prober.ts";
import type { ShareSpec } from "../shares/share-spec.ts";
import { ensureStableLink } from "../shares/stable-link.ts";

/** How long the prober may take to look at a link, ms. */
const LOOK_MS = 1000;
/** A link that was right is looked at again after so long, ms: someone else's change of it is no emergency. */
const LOOK_AGAIN_MS = 10_000;

interface KnownLink {
  /** Where this process has pointed it to. */
  readonly targets: Set<string>;
  right: { readonly target: string; readonly atMs: number } | null;
}

/**
 * Makes sure of a share's link to `target`, where it is mounted or will be. A link is ours when it leads to the
 * share's own mount path, or to a mount that this process has pointed it to. Resolves with what blocks it, or null.
 */
export function createStableLinks(
  clock: Clock,
  prober: Prober,
): (spec: ShareSpec, target: string) => Promise<string | null> | null {
  const links = new Map<string, KnownLink>();
  return ({ stablePath, mountPath }, target) => {
    const link = links.get(stablePath) ?? { targets: new Set(), right: null };
    links.set(stablePath, link);
    if (link.right?.target === target && clock.monotonicMs() - link.right.atMs < LOOK_AGAIN_MS) return null;
    return ensure(link, stablePath, mountPath, target);
  };

  async function ensure(
    link: KnownLink,
    path: string,
    mountPath: string,
    target: string,
  ): Promise<string | null> {
    const atMs = clock.monotonicMs();
    link.targets.add(target).add(mountPath);
    const isOurs = (found: string): boolean => link.targets.has(found);
    const outcome = await ensureStableLink({ prober, path, target, isOurs, waitMs: LOOK_MS });
    link.right = outcome.result === "blocked" ? null : { target, atMs };
    return outcome.result === "blocked" ? outcome.by : null;
  }
}
