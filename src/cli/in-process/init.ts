// Owns the way from `init` to what finds the shares that are mounted already; loads it when it is run.
import type { FoundShare } from "../../api/found-share.ts";

export async function findMountedShares(): Promise<readonly FoundShare[]> {
  const { foundShares } = await import("../../daemon/compose/found-shares.ts");
  return foundShares();
}
