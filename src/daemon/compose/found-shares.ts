// What `init` asks: the shares that this machine has mounted already, as the management API says them.
import type { FoundShare } from "../../api/found-share.ts";
import { findShares } from "../../shares/mounts/found-shares.ts";

export function foundShares(): Promise<readonly FoundShare[]> {
  return findShares();
}
