// Folders of this machine in the place of shares: what a server would export, and how a test may bind it.
import { mkdir, mkdtemp, rename, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../../../src/shares/share-spec.ts";
import { shareSpec } from "../share-spec.ts";
import { type DriverBench, found, limits, NAMES } from "./driver-contract.ts";

export const HOSTS = { tb: "tb.test", fallback: "fallback.test" } as const;

/** Why this machine cannot bind folders; null: it can. */
export async function bindingUnavailable(): Promise<string | null> {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    return "mounts are bound here, as root on Linux";
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-test-"));
  const run = (command: string, ...args: readonly string[]) =>
    runCommand(command, args, { clock: systemClock, deadlineMs: 60_000 });
  try {
    const bound = await run("mount", "--bind", folder, folder);
    if (bound.exitCode !== 0) return "mounting is not permitted here";
    await run("umount", "--", folder);
    return null;
  } finally {
    await rmdir(folder);
  }
}

export interface ExportedShares extends Pick<DriverBench, "share" | "behind" | "cut"> {
  unmountAll(driver: DriverBench["driver"]): Promise<void>;
}

/** A folder HOST/SHARE below `exports` for each route of each share; `spec` gives what the driver wants to know. */
export async function exportShares(
  exports: string,
  spec: (
    name: string,
    behind: (route: RouteName) => string,
  ) => Partial<ShareSpec> & { readonly folder?: string },
): Promise<ExportedShares> {
  const shares = new Map<string, ShareSpec>();
  const folderOf = (name: string, route: RouteName): string => join(exports, HOSTS[route], name);
  for (const name of NAMES)
    for (const route of ROUTE_NAMES) await mkdir(folderOf(name, route), { recursive: true });
  return {
    share(name) {
      const share = shares.get(name) ?? shareSpec({ name, ...spec(name, (route) => folderOf(name, route)) });
      shares.set(name, share);
      return share;
    },
    behind: ({ shareName }, route) => folderOf(shareName, route),
    cut: (_, route) => rename(join(exports, HOSTS[route]), join(exports, `${HOSTS[route]}-cut`)),
    async unmountAll(driver) {
      for (const share of shares.values()) {
        for (const mount of await found(driver, share)) await driver.unmount(share, mount, "force", limits());
      }
    },
  };
}
