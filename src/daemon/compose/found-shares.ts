// The shares that this machine has already mounted, for `init`. A separate file, because tests of `init`
// replace it.
import type { FoundShare } from "../../config/values/found-share.ts";
import { findShares } from "../../shares/mounts/found-shares.ts";

export const foundShares: () => Promise<readonly FoundShare[]> = () => findShares();
