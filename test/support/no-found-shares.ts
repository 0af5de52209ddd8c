// Stands for `src/daemon/compose/found-shares.ts` where commands run in the test's own process: `init` does not see the
// shares that other tests have mounted on this machine.
import type { foundShares as real } from "../../src/daemon/compose/found-shares.ts";

export const foundShares: typeof real = async () => [];
