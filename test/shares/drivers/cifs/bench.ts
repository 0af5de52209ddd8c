// Driver `cifs` with real processes standing in for mount.cifs and mount, real mounts (bound folders) where the kernel's
// client would mount, and this system's own umount.
import { mkdir, mkdtemp, realpath, rename, rmdir, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { runCommand } from "../../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { createCifsDriver } from "../../../../src/shares/drivers/cifs/cifs.ts";
import type { CifsTools } from "../../../../src/shares/drivers/cifs/way.ts";
import { createMountTableLinux } from "../../../../src/shares/mounts/mount-table-linux.ts";
import type { RouteName, ShareSpec } from "../../../../src/shares/share-spec.ts";
import { fileProber } from "../../../support/file-prober.ts";
import { createRecordingLogger } from "../../../support/recording-logger.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { type DriverBench, found, limits } from "../driver-contract.ts";
import { makeStandIns, type StandIns } from "./stand-in.ts";

/** Why this machine cannot play it; null: it can. */
export const skip = await whyNot();
export const HOSTS = { tb: "tb.test", fallback: "fallback.test" } as const;

async function whyNot(): Promise<string | null> {
  if (process.platform !== "linux") return "the kernel's client is Linux's";
  if (process.getuid?.() !== 0) return "mounts are bound here, which needs root";
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

interface CifsBench extends DriverBench {
  readonly folder: string;
  readonly standIns: StandIns;
  readonly logged: () => string;
  fresh(tools?: Partial<CifsTools>, addresses?: Readonly<Record<string, string>>): DriverBench["driver"];
}

const proberOfFile = fileProber({ clock: systemClock, logger: silentLogger });

export async function startBench(t: TestContext): Promise<CifsBench> {
  let unmountAll = async (): Promise<void> => {};
  t.after(() => unmountAll());
  const folder = await realpath(await temporaryFolder(t));
  const standIns = await makeStandIns(folder);
  const logger = createRecordingLogger();
  const prober = proberOfFile();
  const own: CifsTools = {
    userId: 0,
    programFolders: [standIns.programs, "/usr/bin", "/bin"],
    fstab: standIns.fstab,
    filesystems: "/proc/filesystems",
  };
  const fresh: CifsBench["fresh"] = (tools = {}, addresses = {}) =>
    createCifsDriver({
      clock: systemClock,
      logger,
      prober,
      stateFolder: join(folder, "home"),
      mountTable: createMountTableLinux({ clock: systemClock, readTable: standIns.readTable }),
      addressesOf: (host) => (addresses[host] === undefined ? [] : [addresses[host]]),
      tools: { ...own, ...tools },
    });
  const shares = new Map<string, ShareSpec>();
  const share = (name: string): ShareSpec => {
    const known = shares.get(name);
    if (known !== undefined) return known;
    const route = (host: string) => ({ host, port: 445, interfaceName: null, folder: null });
    const spec: ShareSpec = {
      name,
      shareName: name,
      username: "ann",
      password: "s3cret, too",
      missingVariable: null,
      driver: "cifs",
      routes: { tb: route(HOSTS.tb), fallback: route(HOSTS.fallback) },
      mountPath: join(folder, "volumes", name),
      stablePath: join(folder, "links", name),
    };
    shares.set(name, spec);
    return spec;
  };
  const behind = (spec: ShareSpec, route: RouteName): string =>
    join(standIns.exports, HOSTS[route], spec.shareName);
  for (const name of ["CORE", "My Share", "Größe 日本", `it's "so", they say`]) {
    for (const route of ["tb", "fallback"] as const)
      await mkdir(behind(share(name), route), { recursive: true });
  }
  await symlink(HOSTS.tb, join(standIns.exports, "carried"));
  const driver = fresh();
  unmountAll = async () => {
    for (const spec of shares.values()) {
      for (const mount of await found(driver, spec)) await driver.unmount(spec, mount, "force", limits());
    }
  };
  return {
    driver,
    prober,
    folder,
    standIns,
    logged: () => JSON.stringify(logger.lines),
    fresh,
    freshDriver: () => fresh(),
    share,
    behind,
    cut: (_, route) =>
      rename(join(standIns.exports, HOSTS[route]), join(standIns.exports, `${HOSTS[route]}-cut`)),
    async [Symbol.asyncDispose]() {},
  };
}
