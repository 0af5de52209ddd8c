// The links that people use to reach shares: which are ours, and what is wrong with one.
import type { Clock } from "../../runtime/time/clock.ts";
import { ensureStableLink, stableLinkFault } from "../../shares/links/stable-link.ts";
import type { StableLinks } from "../../shares/links/stable-links.ts";
import type { Prober } from "../../shares/prober/prober.ts";

/** How long the prober may take to look at a link, ms. */
const LOOK_MS = 1000;
/** A link that was right is looked at again after so long, ms: beats may be short, and looks are not free. */
const LOOK_AGAIN_MS = 2_000;

interface KnownLink {
  /** Where this process has pointed it to. */
  readonly targets: Set<string>;
  right: { readonly target: string; readonly atMs: number } | null;
}

/**
 * The links of a home's shares. A link is ours when it leads to the share's own mount path, or to a mount that this
 * process has pointed it to.
 */
export function createStableLinks(clock: Clock, prober: Prober): StableLinks {
  const links = new Map<string, KnownLink>();
  const ensureNow: StableLinks["ensureNow"] = ({ stablePath, mountPath }, target) => {
    const link = links.get(stablePath) ?? { targets: new Set(), right: null };
    links.set(stablePath, link);
    return ensure(link, stablePath, mountPath, target);
  };
  return {
    ensure(spec, target) {
      const right = links.get(spec.stablePath)?.right;
      const isKnown = right?.target === target && clock.monotonicMs() - right.atMs < LOOK_AGAIN_MS;
      return isKnown ? null : ensureNow(spec, target);
    },
    ensureNow,
    async look({ stablePath, mountPath }, mountedAt) {
      const fault = stableLinkFault(
        await prober.readLink(stablePath, LOOK_MS),
        stablePath,
        mountedAt ?? mountPath,
      );
      // The link of what is not mounted leads nowhere yet.
      return fault === "missing" ? (mountedAt === null ? null : `${stablePath} is missing`) : fault;
    },
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
