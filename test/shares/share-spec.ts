// A share as the daemon hands it to drivers and rules: what a test does not name is as most shares have it.
import { join } from "node:path";
import { formerShare } from "../../src/config/read/normalize.ts";
import type { RouteSpec, ShareSpec } from "../../src/shares/share-spec.ts";

export function routeTo(host: string | null, change: Partial<RouteSpec> = {}): RouteSpec {
  return { host, port: 445, interfaceName: null, folder: null, ...change };
}

/** `folder`: what its paths lie in. */
export function shareSpec({
  folder = "/nowhere",
  name = "CORE",
  ...change
}: Partial<ShareSpec> & { readonly folder?: string } = {}): ShareSpec {
  return {
    ...formerShare(name),
    username: "ann",
    password: null,
    missingVariable: null,
    driver: "fs",
    routes: { tb: routeTo(null), fallback: routeTo(null) },
    mountPath: join(folder, "volumes", name),
    stablePath: join(folder, "Shares", name),
    ...change,
  };
}
