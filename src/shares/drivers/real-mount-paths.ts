// The real paths of mounts, as in the mount table: mount_root may be reached through a link.
import { basename, dirname, join } from "node:path";
import type { Prober } from "../prober/prober.ts";

const REAL_PATH_MS = 1_000;

/** Each folder is resolved by the prober until that succeeds, and then never again. */
export function createRealMountPaths(prober: Pick<Prober, "realPath">) {
  const realParents = new Map<string, string>();
  return {
    /** `mountPath` below the real path of its folder; unchanged while that is unknown. */
    async find(mountPath: string): Promise<string> {
      const parent = dirname(mountPath);
      let real = realParents.get(parent);
      if (real === undefined) {
        const found = await prober.realPath(parent, REAL_PATH_MS);
        if (found === null) return mountPath;
        real = found;
        realParents.set(parent, real);
      }
      return join(real, basename(mountPath));
    },
    /** The same by what was found before, without asking. */
    known: (mountPath: string): string =>
      join(realParents.get(dirname(mountPath)) ?? dirname(mountPath), basename(mountPath)),
  };
}
