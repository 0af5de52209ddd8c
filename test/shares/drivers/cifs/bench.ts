// Driver `cifs` with real processes standing in for mount.cifs and mount, real mounts (bound folders) where the kernel's
// client would mount, and this system's own umount.
import { realpath, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { createCifsDriver } from "../../../../src/shares/drivers/cifs/cifs.ts";
import type { CifsTools } from "../../../../src/shares/drivers/cifs/mount-method.ts";
import { createMountTableLinux } from "../../../../src/shares/mounts/mount-table-linux.ts";
import { fileProber } from "../../../support/file-prober.ts";
import { createRecordingLogger } from "../../../support/recording-logger.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { routeTo } from "../../share-spec.ts";
import { bindingUnavailable, exportShares, HOSTS } from "../bound-shares.ts";
import type { DriverBench } from "../driver-contract.ts";
import { makeStandIns, type StandIns } from "./stand-in.ts";

/** Why this machine cannot play it; null: it can. */
export const skip = await bindingUnavailable();

interface CifsBench extends DriverBench {
  readonly folder: string;
  readonly standIns: StandIns;
  readonly logged: () => string;
  fresh(tools?: Partial<CifsTools>, addresses?: Readonly<Record<string, string>>): DriverBench["driver"];
}

const proberOfFile = fileProber({ clock: systemClock, logger: noopLogger });

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
  const shares = await exportShares(standIns.exports, () => ({
    folder,
    driver: "cifs",
    password: "s3cret, too",
    routes: { tb: routeTo(HOSTS.tb), fallback: routeTo(HOSTS.fallback) },
  }));
  await symlink(HOSTS.tb, join(standIns.exports, "carried"));
  const driver = fresh();
  unmountAll = () => shares.unmountAll(driver);
  return {
    driver,
    prober,
    folder,
    standIns,
    logged: () => JSON.stringify(logger.lines),
    fresh,
    freshDriver: () => fresh(),
    ...shares,
    async [Symbol.asyncDispose]() {},
  };
}
