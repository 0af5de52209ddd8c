// The demo's server where SMB is not available: one folder, and for each route a folder that leads to it. A cable is
// pulled by renaming that folder away.
import { mkdir, rename, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { RouteName } from "../../api/contract.ts";
import type { Cable, Nas } from "./nas.ts";

/** `parent` is a folder for it to live in. */
export async function startLocalNas(parent: string): Promise<Nas> {
  const serverFolder = join(parent, "server");
  const cables = join(parent, "cables");
  await mkdir(serverFolder);
  await mkdir(cables);
  const routes = {
    tb: await cable("tb", join(cables, "thunderbolt"), serverFolder),
    fallback: await cable("fallback", join(cables, "fallback"), serverFolder),
  };
  return {
    driver: "local",
    serverFolder,
    cables: routes,
    shareConfig: [
      `thunderbolt_path = ${JSON.stringify(routes.tb.address)}`,
      `fallback_path = ${JSON.stringify(routes.fallback.address)}`,
      `driver = "local"`,
    ],
    environment: {},
    [Symbol.asyncDispose]: async () => {},
  };
}

async function cable(route: RouteName, path: string, serverFolder: string): Promise<Cable> {
  const pulled = join(dirname(path), `.${basename(path)}-pulled`);
  await symlink(serverFolder, path);
  let plugged = true;
  return {
    route,
    address: path,
    get plugged() {
      return plugged;
    },
    async pull() {
      if (!plugged) return;
      plugged = false;
      await rename(path, pulled);
    },
    async plug() {
      if (plugged) return;
      plugged = true;
      await rename(pulled, path);
    },
  };
}
