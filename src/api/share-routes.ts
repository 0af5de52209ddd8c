// Which routes of a share there are to be shown and chosen.
import type { RouteName, ShareStatus } from "./contract.ts";

type Hosts = Pick<ShareStatus, "tb_host" | "fb_host">;

/** With one host there is one route; a share of driver `local` has two, and no host. */
export function shownRoutes({ tb_host, fb_host }: Hosts): readonly RouteName[] {
  if (tb_host !== null && fb_host === null) return ["tb"];
  return tb_host === null && fb_host !== null ? ["fallback"] : ["tb", "fallback"];
}

/** It is mounted, and not over the route that is preferred. */
export function isSecondBest(share: Hosts & Pick<ShareStatus, "active_interface">): boolean {
  return share.active_interface !== (shownRoutes(share)[0] ?? "tb");
}

/** How a share that has no other route calls the one it has; null: it has two. */
export function onlyHost(share: Hosts): string | null {
  return shownRoutes(share).length === 1 ? (share.tb_host ?? share.fb_host) : null;
}
