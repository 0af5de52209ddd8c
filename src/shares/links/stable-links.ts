// The links that people use: made, mended and looked at, for all shares of a home.
import type { Clock } from "../../runtime/time/clock.ts";
import type { LinkBlocked } from "../policy/share-seen.ts";
import type { Prober } from "../prober/prober.ts";
import type { ShareSpec } from "../share-spec.ts";
import { blocked, ensureStableLink, judgeLink } from "./stable-link.ts";

/** How long the prober may take to look at a link, ms. */
const LOOK_MS = 1000;
/** A link that was right is looked at again after so long, ms: beats may be short, and looks are not free. */
const LOOK_AGAIN_MS = 2_000;
/** It counts as right for so long while looks are late, ms: a busy machine is no other link. */
const BELIEVED_MS = 60_000;

interface KnownLink {
  /** Where this process has pointed it to. */
  readonly targets: Set<string>;
  right: { readonly target: string; readonly atMs: number } | null;
}

/**
 * The links of a home's shares. A link is ours when it leads to the share's own mount path, or to a mount that this
 * process has pointed it to.
 */
export function createStableLinks(clock: Clock, prober: Prober) {
  const links = new Map<string, KnownLink>();
  const ensureNow = ({ stablePath, mountPath }: ShareSpec, target: string): Promise<LinkBlocked | null> => {
    const link = links.get(stablePath) ?? { targets: new Set(), right: null };
    links.set(stablePath, link);
    return ensure(link, stablePath, mountPath, target);
  };
  return {
    /** Ensures the stable link to `target`; resolves with what blocks it; null: it was right a moment ago. */
    ensure(spec: ShareSpec, target: string): Promise<LinkBlocked | null> | null {
      const right = links.get(spec.stablePath)?.right;
      const isKnown = right?.target === target && clock.monotonicMs() - right.atMs < LOOK_AGAIN_MS;
      return isKnown ? null : ensureNow(spec, target);
    },
    /** The same, but always looks. */
    ensureNow,
    /** Changes nothing; resolves with what is wrong. `mountedAt` is null if the share is not mounted. */
    async look({ stablePath, mountPath }: ShareSpec, mountedAt: string | null): Promise<LinkBlocked | null> {
      const look = await prober.readLink(stablePath, LOOK_MS);
      // A link to another place is wrong even if it is ours.
      const found = judgeLink(look, stablePath, mountedAt ?? mountPath, () => false);
      if (typeof found !== "string") return found;
      // The link of what is not mounted leads nowhere yet.
      return found === "right" || mountedAt === null ? null : blocked(`${stablePath} is missing`, "failed");
    },
  };

  async function ensure(
    link: KnownLink,
    path: string,
    mountPath: string,
    target: string,
  ): Promise<LinkBlocked | null> {
    const atMs = clock.monotonicMs();
    link.targets.add(target).add(mountPath);
    const isOurs = (found: string): boolean => link.targets.has(found);
    const outcome = await ensureStableLink({ prober, path, target, isOurs, waitMs: LOOK_MS });
    const wasRight = link.right?.target === target && atMs - link.right.atMs < BELIEVED_MS;
    const fault = outcome.result === "blocked" ? outcome : null;
    if (fault?.why === "late" && wasRight) return null;
    link.right = fault === null ? { target, atMs } : null;
    return fault;
  }
}

export type StableLinks = ReturnType<typeof createStableLinks>;
